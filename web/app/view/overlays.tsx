import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Chat } from '../state/chat.ts';
import { isMac, overlay } from './overlay.ts';

/** Gets the focus back when the dialog closes. */
let opener: HTMLElement | null = null;

/** Undefined until it is loaded. */
const dialogs = signal<typeof import('./overlay-dialogs.tsx').dialogs | undefined>(undefined);

/** The dialogs that keys open. They are loaded when they are first needed. */
export function Overlays({ chat }: { chat: Chat }) {
  const open = overlay.value;
  useEffect(() => watchKeys(), []);
  useEffect(() => {
    if (!open || dialogs.value) return;
    import('./overlay-dialogs.tsx').then(
      (part) => {
        dialogs.value = part.dialogs;
      },
      () => {
        overlay.value = undefined;
        chat.showNotice('This could not be loaded. Check your connection and try again.');
      },
    );
  }, [open]);
  const loaded = dialogs.value;
  if (!loaded || !open) return null;
  const close = () => {
    overlay.value = undefined;
    const focused = document.activeElement;
    if (!focused || focused === document.body || focused.closest('dialog')) opener?.focus();
    opener = null;
  };
  return open === 'go-to' ? <loaded.GoTo chat={chat} onClose={close} /> : <loaded.Shortcuts onClose={close} />;
}

/**
 * Opens the dialogs: Ctrl+K, on a Mac Cmd+K, where Ctrl+K edits text; and `?` outside of text.
 *
 * @returns a function that stops it.
 */
function watchKeys(): () => void {
  const onKeyDown = (event: KeyboardEvent) => {
    const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
    if (event.defaultPrevented || event.isComposing || altKey || document.querySelector('dialog[open]')) return;
    const command = (isMac ? metaKey : ctrlKey) && metaKey !== ctrlKey;
    if (command && !shiftKey && key.toLowerCase() === 'k') overlay.value = 'go-to';
    else if (key === '?' && !ctrlKey && !metaKey && !isText(event.target as Element)) overlay.value = 'shortcuts';
    else return;
    event.preventDefault();
    // Keys pressed until the dialog is loaded must not end up in a message.
    opener = document.activeElement as HTMLElement | null;
    opener?.blur();
  };
  document.addEventListener('keydown', onKeyDown);
  return () => document.removeEventListener('keydown', onKeyDown);
}

/** @param target of a key: the focused element. */
function isText(target: Element): boolean {
  return target.matches('input:not([type="checkbox"]), textarea, select');
}
