import { useLayoutEffect, useRef } from 'preact/hooks';
import { outgoingChangesOf } from '../state/outgoing-changes.ts';
import { MoreIcon } from './icons.tsx';
import type { MessageContext } from './message-context.ts';
import { mount } from './mount.tsx';

const KEY = 'pumphouse.chat reactions';
const FREQUENT = ['👍', '❤️', '😂', '🎉', '😮', '😢'];

/** The reactions that the user has picked last, filled up with those that people use most. */
function frequentReactions(): string[] {
  let stored: unknown;
  try {
    stored = JSON.parse(localStorage.getItem(KEY) ?? '[]');
  } catch {
    // Nothing is stored, or nothing can be.
  }
  const last = Array.isArray(stored) ? stored.filter((each) => typeof each === 'string') : [];
  return [...new Set([...last, ...FREQUENT])].slice(0, FREQUENT.length);
}

function remember(reaction: string): void {
  if (FREQUENT.includes(reaction)) return;
  try {
    // Keeps most of the row in place.
    const last = frequentReactions().filter((each) => !FREQUENT.includes(each) && each !== reaction);
    localStorage.setItem(KEY, JSON.stringify([reaction, ...last].slice(0, 2)));
  } catch {
    // The reaction is not stored.
  }
}

function react({ room, message }: MessageContext, reaction: string): void {
  remember(reaction);
  // The message may have changed since the row was shown.
  const current = room.entries.find(({ key }) => key === message.key);
  if (current?.kind === 'message') outgoingChangesOf(room).toggleReaction(current, reaction);
}

/** Opens the emoji picker for a reaction. @param opener the element that gets the focus back */
async function openPicker(context: MessageContext, opener: HTMLElement): Promise<void> {
  try {
    const { EmojiPicker } = await import('./emoji-picker.tsx');
    mount((close) => <EmojiPicker onPick={(emoji) => react(context, emoji)} onClose={close} />, opener);
  } catch {
    context.chat.showNotice('The emoji could not be loaded.');
  }
}

/** A row of frequent reactions, and a button for all emoji. */
export function ReactionRow({ context, onDone }: { context: MessageContext; onDone: () => void }) {
  const { user } = context.room;
  const { reactions = [] } = context.message;
  const isMine = (emoji: string) => reactions.some(({ reaction, users }) => reaction === emoji && users.includes(user));
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for a form
    <div class="reaction-row" role="group" aria-label="React">
      {frequentReactions().map((emoji) => (
        <button
          key={emoji}
          type="button"
          class="quiet"
          aria-label={emoji}
          aria-pressed={isMine(emoji)}
          onClick={() => {
            react(context, emoji);
            onDone();
          }}
        >
          {emoji}
        </button>
      ))}
      <button
        type="button"
        class="quiet"
        aria-label="More emoji"
        title="More emoji"
        onClick={({ currentTarget }) => {
          const row = document.querySelector<HTMLElement>('.message:focus-within') ?? currentTarget;
          onDone();
          void openPicker(context, row);
        }}
      >
        <MoreIcon />
      </button>
    </div>
  );
}

/** Opens the row of reactions in a dialog beside a row of the log. */
export function openReactions(context: MessageContext): void {
  const opener = document.activeElement as HTMLElement;
  const row = opener.closest<HTMLElement>('.message') ?? opener;
  mount((close) => <ReactionDialog context={context} beside={row} onClose={close} />, row);
}

interface DialogProps {
  readonly context: MessageContext;
  readonly beside: HTMLElement;
  readonly onClose: () => void;
}

function ReactionDialog({ context, beside, onClose }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    if (!element) return;
    element.showModal();
    const { top, right } = beside.getBoundingClientRect();
    const { height } = element.getBoundingClientRect();
    element.style.top = `${Math.max(8, Math.min(top - height / 2, innerHeight - height - 8))}px`;
    element.style.right = `${Math.max(8, document.documentElement.clientWidth - right + 8)}px`;
  }, []);
  const close = () => dialog.current?.close();
  return (
    // A click beside the dialog is one on its backdrop. Escape closes it by the keyboard.
    // biome-ignore lint/a11y/useKeyWithClickEvents: see above
    <dialog
      ref={dialog}
      class="reaction-dialog"
      aria-label="React"
      onClose={onClose}
      onClick={({ target }) => target === dialog.current && close()}
    >
      <ReactionRow context={context} onDone={close} />
    </dialog>
  );
}
