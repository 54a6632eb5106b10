import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Chat } from '../state/chat.ts';
import type { Conversation } from '../state/conversation.ts';
import { bytesOver, trimDraft } from '../state/outgoing.ts';
import { count, typingText, visibleName } from './format.ts';
import { isLongPaste, PasteDialog } from './paste-dialog.tsx';
import { narrow, touch } from './screen.ts';

// Bytes below the limit at which the hint starts to show the rest.
const NEAR_LIMIT = 1_000;

/**
 * The message form. Enter sends a message, Shift+Enter inserts a line break. On a touch screen
 * Enter inserts a line break too.
 */
export function Composer({ chat, room }: { chat: Chat; room: Conversation }) {
  const input = useRef<HTMLTextAreaElement>(null);
  const pasted = useSignal<string | undefined>(undefined);
  const { outgoing, typing } = room;
  const draft = outgoing.draft.value;
  const membership = room.membership.value;
  const connection = chat.connection.value;
  const over =
    draft === ''
      ? -NEAR_LIMIT
      : bytesOver(trimDraft(draft), room.name, connection.name === 'live' ? connection.limits : undefined);

  useEffect(() => {
    if (!touch && !narrow.value) input.current?.focus();
  }, []);
  useEffect(() => fitHeight(input.current), [draft]);

  const setDraft = (text: string) => {
    outgoing.setDraft(text);
    typing.draftChanged(text.trim() !== '');
  };
  const send = (event: Event) => {
    event.preventDefault();
    if (over > 0 || !outgoing.send(trimDraft(draft))) return;
    outgoing.setDraft('');
    typing.messageSent();
    room.showLatest();
    room.readState.unreadAfter.value = undefined;
    input.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowUp' && draft === '' && outgoing.editLastFailed()) event.preventDefault();
    // Ignores the Enter that ends an IME composition. Safari sends it after compositionend, with
    // keyCode 229.
    if (event.key !== 'Enter' || event.shiftKey || touch || event.isComposing || event.keyCode === 229) return;
    send(event);
  };
  const onPaste = (event: ClipboardEvent) => {
    const text = event.clipboardData?.getData('text/plain') ?? '';
    if (!isLongPaste(text)) return;
    event.preventDefault();
    pasted.value = text;
  };
  const insertPasted = () => {
    const area = input.current;
    if (!area || pasted.value === undefined) return;
    area.setRangeText(pasted.value.replaceAll('\r\n', '\n'), area.selectionStart, area.selectionEnd, 'end');
    setDraft(area.value);
  };

  if (membership.name === 'rejected') {
    return <p class="join-rejected">You cannot join this room: {membership.reason}.</p>;
  }
  return (
    <form class="composer" onSubmit={send}>
      <p class="typing" role="status">
        {typingText(typing.names.value)}
      </p>
      <label class="visually-hidden" for="input">
        Message
      </label>
      <textarea
        id="input"
        ref={input}
        rows={1}
        dir="auto"
        value={draft}
        placeholder={`Message ${visibleName(room.name)}`}
        enterkeyhint={touch ? 'enter' : 'send'}
        aria-describedby="hint"
        aria-invalid={over > 0}
        onInput={({ currentTarget }) => setDraft(currentTarget.value)}
        onKeyDown={onKeyDown}
        onPaste={onPaste}
      />
      <button type="submit" class="primary">
        Send
      </button>
      <p id="hint" class="hint" role="status">
        {room.error.value || hintOf(over)}
      </p>
      {pasted.value !== undefined && (
        <PasteDialog
          text={pasted.value}
          onConfirm={insertPasted}
          onClose={() => {
            pasted.value = undefined;
            input.current?.focus();
          }}
        />
      )}
    </form>
  );
}

function hintOf(over: number): string {
  if (over > 0) return `${count(over, 'byte')} over the limit`;
  return over > -NEAR_LIMIT ? `${count(-over, 'byte')} left` : '';
}

/** Fits the height to the text, in browsers without `field-sizing`. */
function fitHeight(area: HTMLTextAreaElement | null): void {
  if (!area || CSS.supports('field-sizing', 'content')) return;
  area.style.height = 'auto';
  area.style.height = `${area.scrollHeight}px`;
}
