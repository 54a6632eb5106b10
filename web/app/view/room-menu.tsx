import { useSignal } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { Chat } from '../state/chat.ts';
import type { Conversation } from '../state/conversation.ts';
import { ConfirmDialog } from './confirm-dialog.tsx';
import { copyText } from './copy.ts';
import { count, visibleName } from './format.ts';
import { MoreIcon } from './icons.tsx';
import { GO_TO_KEYS, overlay } from './overlay.ts';
import { pane } from './screen.ts';

/** The time for which the result of copying is visible, in milliseconds. */
const RESULT_MS = 2_000;

/** The menu of a room: copies its link, opens the dialogs of the page, and leaves the room. */
export function RoomMenu({ chat, room }: { chat: Chat; room: Conversation }) {
  const open = useSignal(false);
  const confirming = useSignal(false);
  const copyResult = useSignal('');
  const menu = useRef<HTMLDivElement>(null);
  const pending = room.outgoing.pending.value.length;
  useLayoutEffect(() => {
    if (!open.value) return;
    menu.current?.querySelector<HTMLElement>('.menu button')?.focus();
    return closeOn(menu.current, (byKey) => {
      open.value = false;
      if (byKey) menu.current?.querySelector('button')?.focus();
    });
  }, [open.value]);

  const copy = async () => {
    copyResult.value = (await copyText(location.href)) ? 'Copied' : 'Copy failed';
    setTimeout(() => {
      copyResult.value = '';
    }, RESULT_MS);
  };
  const close = () => {
    open.value = false;
    menu.current?.querySelector('button')?.focus(); // gets the focus back from the dialog
  };
  const leave = () => {
    pane.value = undefined;
    chat.leave(room);
  };
  const confirmAndLeave = () => {
    open.value = false;
    if (pending > 0) confirming.value = true;
    else leave();
  };
  return (
    <div class="menu-anchor" ref={menu}>
      <button
        type="button"
        class="quiet"
        aria-label="Room menu"
        aria-controls="room-menu"
        aria-expanded={open.value}
        onClick={() => {
          open.value = !open.value;
        }}
      >
        <MoreIcon />
      </button>
      {open.value && (
        <div id="room-menu" class="menu">
          <button type="button" class="quiet" onClick={copy}>
            {copyResult.value || 'Copy link'}
          </button>
          <span class="visually-hidden" role="status">
            {copyResult.value}
          </span>
          <MenuEntry opens="go-to" label="Go to…" keys={GO_TO_KEYS} shortcut="Control+K Meta+K" onOpen={close} />
          <MenuEntry opens="shortcuts" label="Keyboard shortcuts" keys="?" shortcut="?" onOpen={close} />
          <button type="button" class="quiet danger" onClick={confirmAndLeave}>
            Leave room
          </button>
        </div>
      )}
      {confirming.value && (
        <ConfirmDialog
          title={`Leave ${visibleName(room.name)}?`}
          action="Leave"
          onConfirm={leave}
          onClose={() => {
            confirming.value = false;
          }}
        >
          {count(pending, 'unsent message')} will be discarded.
        </ConfirmDialog>
      )}
    </div>
  );
}

interface EntryProps {
  readonly opens: 'go-to' | 'shortcuts';
  readonly label: string;
  /** The keys, as people read them and as ARIA names them. */
  readonly keys: string;
  readonly shortcut: string;
  readonly onOpen: () => void;
}

function MenuEntry({ opens, label, keys, shortcut, onOpen }: EntryProps) {
  return (
    <button
      type="button"
      class="quiet"
      aria-keyshortcuts={shortcut}
      onClick={() => {
        onOpen();
        overlay.value = opens;
      }}
    >
      {label}
      <span class="keys" aria-hidden="true">
        {keys}
      </span>
    </button>
  );
}

/**
 * Calls `close` on Escape, and when the pointer or the focus leaves an element.
 *
 * @returns a function that stops watching.
 */
function closeOn(element: Element | null, close: (byKey: boolean) => void): () => void {
  const watch = new AbortController();
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== 'Escape') return;
    event.stopPropagation(); // Escape closes one thing at a time: a pane stays open
    close(true);
  };
  const onMove = ({ target }: Event) => {
    if (!element?.contains(target as Node)) close(false);
  };
  document.addEventListener('keydown', onKey, watch);
  document.addEventListener('pointerdown', onMove, watch);
  document.addEventListener('focusin', onMove, watch);
  return () => watch.abort();
}
