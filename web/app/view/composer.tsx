import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { Chat } from '../state/chat.ts';
import type { Conversation } from '../state/conversation.ts';
import { bytesOver, normal } from '../state/outgoing.ts';
import { isLongPaste, PasteQuestion } from './paste.tsx';
import { narrow, touch } from './screen.ts';
import { count, typingWords, visible } from './words.ts';

// So near to the longest message it is told how much is left.
const NEAR = 1_000;

/** Where a message is typed. Enter sends it, Shift and Enter begin a line; on a touch screen Enter begins one too. */
export function Composer({ chat, room }: { chat: Chat; room: Conversation }) {
  const input = useRef<HTMLTextAreaElement>(null);
  const pasted = useSignal<string | undefined>(undefined);
  const { outgoing, typing } = room;
  const draft = outgoing.draft.value;
  const standing = room.standing.value;
  const connection = chat.connection.value;
  const over =
    draft === ''
      ? -NEAR
      : bytesOver(normal(draft), room.name, connection.name === 'live' ? connection.limits : undefined);

  useEffect(() => {
    if (!touch && !narrow.value) input.current?.focus();
  }, []);
  useEffect(() => grow(input.current), [draft]);

  const type = (text: string) => {
    outgoing.type(text);
    typing.typed(text.trim() !== '');
  };
  const send = (event: Event) => {
    event.preventDefault();
    if (over > 0 || !outgoing.send(normal(draft))) return;
    outgoing.type('');
    typing.sent();
    room.toLatest();
    room.reading.line.value = undefined;
    input.current?.focus();
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === 'ArrowUp' && draft === '' && outgoing.takeBack()) event.preventDefault();
    // An Enter that ends a composition is not for us; Safari sends it after the composition's end, as key 229.
    if (event.key !== 'Enter' || event.shiftKey || touch || event.isComposing || event.keyCode === 229) return;
    send(event);
  };
  const paste = (event: ClipboardEvent) => {
    const text = event.clipboardData?.getData('text/plain') ?? '';
    if (!isLongPaste(text)) return;
    event.preventDefault();
    pasted.value = text;
  };
  const insert = () => {
    const area = input.current;
    if (!area || pasted.value === undefined) return;
    area.setRangeText(pasted.value.replaceAll('\r\n', '\n'), area.selectionStart, area.selectionEnd, 'end');
    type(area.value);
  };

  if (standing.name === 'refused') return <p class="refused">You are not in this room: {standing.why}.</p>;
  return (
    <form class="composer" onSubmit={send}>
      <p class="typing" role="status">
        {typingWords(typing.names.value)}
      </p>
      <label class="spoken" for="input">
        Message
      </label>
      <textarea
        id="input"
        ref={input}
        rows={1}
        dir="auto"
        value={draft}
        placeholder={`Message ${visible(room.name)}`}
        enterkeyhint={touch ? 'enter' : 'send'}
        aria-describedby="hint"
        aria-invalid={over > 0}
        onInput={({ currentTarget }) => type(currentTarget.value)}
        onKeyDown={key}
        onPaste={paste}
      />
      <button type="submit" class="primary">
        Send
      </button>
      <p id="hint" class="hint" role="status">
        {room.trouble.value || hintOf(over)}
      </p>
      {pasted.value !== undefined && (
        <PasteQuestion
          text={pasted.value}
          onYes={insert}
          onNo={() => {
            pasted.value = undefined;
            input.current?.focus();
          }}
        />
      )}
    </form>
  );
}

function hintOf(over: number): string {
  if (over > 0) return `${count(over, 'byte')} too long to send`;
  return over > -NEAR ? `${count(-over, 'byte')} left` : '';
}

/** Grows with its text, where the browser does not do so by itself. */
function grow(area: HTMLTextAreaElement | null): void {
  if (!area || CSS.supports('field-sizing', 'content')) return;
  area.style.height = 'auto';
  area.style.height = `${area.scrollHeight}px`;
}
