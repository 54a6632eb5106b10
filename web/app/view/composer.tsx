import { useSignal } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { Chat } from '../state/chat.ts';
import { type Conversation, loadChanges } from '../state/conversation.ts';
import { bytesOver, trimDraft } from '../state/outgoing.ts';
import type { MessageEntry } from '../state/timeline.ts';
import { extras, loadExtras } from './extras.ts';
import { count, typingText, visibleName } from './format.ts';
import { EmojiIcon } from './icons.tsx';
import { isLongPaste, PasteDialog } from './paste-dialog.tsx';
import { narrow, touch } from './screen.ts';
import { useCompletion } from './use-completion.tsx';

// Bytes below the limit at which the hint starts to show the rest.
const NEAR_LIMIT = 1_000;

/**
 * The message form. Enter sends a message, Shift+Enter inserts a line break. On a touch screen
 * Enter inserts a line break too.
 */
export function Composer({ chat, room }: { chat: Chat; room: Conversation }) {
  const input = useRef<HTMLTextAreaElement>(null);
  const pasted = useSignal<string | undefined>(undefined);
  const notice = useSignal('');
  const picking = useSignal<typeof import('./emoji-picker.tsx') | undefined>(undefined);
  const { outgoing, typing } = room;
  const draft = outgoing.text;
  const mode = outgoing.mode.value;
  const membership = room.membership.value;
  const connection = chat.connection.value;
  const over =
    draft === ''
      ? -NEAR_LIMIT
      : bytesOver(trimDraft(draft), room.name, connection.name === 'live' ? connection.limits : undefined, mode);

  useLayoutEffect(() => {
    if (!touch && !narrow.value) input.current?.focus();
  }, []);
  useLayoutEffect(() => {
    if (mode) input.current?.focus();
  }, [mode?.message]);
  useLayoutEffect(() => fitHeight(input.current), [draft]);
  useLayoutEffect(
    () =>
      rejectFiles(() => {
        notice.value = 'Files are not supported. Only text can be sent.';
      }),
    [],
  );

  const setDraft = (text: string) => {
    notice.value = '';
    outgoing.setText(text);
    if (mode?.kind !== 'edit') typing.draftChanged(text.trim() !== '');
  };
  const stopMode = () => {
    outgoing.mode.value = undefined;
    input.current?.focus();
  };
  const insert = (text: string, from?: number) => {
    const area = input.current;
    if (!area) return;
    area.setRangeText(text, from ?? area.selectionStart, area.selectionEnd, 'end');
    setDraft(area.value);
    area.focus();
  };
  const completion = useCompletion(input, room, insert);
  const send = (event: Event) => {
    event.preventDefault();
    if (over > 0) return;
    if (mode?.kind === 'edit') {
      void save(mode.message);
      return;
    }
    if (!outgoing.send(trimDraft(draft), mode?.message.seq)) return;
    completion.close();
    outgoing.setDraft('');
    outgoing.mode.value = undefined;
    typing.messageSent();
    room.showLatest();
    room.readState.unreadAfter.value = undefined;
    input.current?.focus();
  };
  const save = async (message: MessageEntry) => {
    const text = trimDraft(draft);
    completion.close();
    try {
      const actions = text === '' ? await import('./message-actions.tsx') : undefined;
      const { saveEdit } = await loadChanges();
      stopMode();
      if (actions) actions.confirmDelete({ room, message });
      else if (text !== message.text) saveEdit(room, message, text);
    } catch {
      notice.value = 'The edit could not be saved.';
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (completion.onKeyDown(event)) return;
    if (event.key === 'Escape' && mode) {
      event.stopPropagation(); // Escape closes one thing at a time
      stopMode();
    }
    if (event.key === 'ArrowUp' && draft === '' && !mode) {
      if (outgoing.editLastFailed()) event.preventDefault();
      else
        void loadChanges().then(
          ({ editLast }) => editLast(room),
          () => undefined,
        );
    }
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
    if (pasted.value !== undefined) insert(pasted.value.replaceAll('\r\n', '\n'));
  };
  const openPicker = async () => {
    try {
      picking.value = await import('./emoji-picker.tsx');
    } catch {
      notice.value = 'The emoji could not be loaded.';
    }
  };

  if (membership.name === 'rejected') {
    return <p class="join-rejected">You cannot join this room: {membership.reason}.</p>;
  }
  const more = mode && (extras.value ?? loadExtras());
  const editing = mode?.kind === 'edit';
  return (
    <form class="composer" data-mode={mode?.kind} onSubmit={send}>
      <p class="typing" role="status">
        {typingText(typing.names.value)}
      </p>
      {more && <more.ModeBar room={room} onCancel={stopMode} />}
      <label class="visually-hidden" for="input">
        {editing ? 'Edit message' : 'Message'}
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
        {...completion.props}
        onInput={(event) => {
          setDraft(event.currentTarget.value);
          completion.onInput(event.isComposing);
        }}
        onKeyDown={onKeyDown}
        onPaste={onPaste}
      />
      <button type="button" class="quiet" aria-label="Emoji" title="Emoji" aria-haspopup="dialog" onClick={openPicker}>
        <EmojiIcon />
      </button>
      <button type="submit" class="primary">
        {editing ? 'Save' : 'Send'}
      </button>
      <p id="hint" class="hint" role="status">
        {notice.value || room.error.value || hintOf(over)}
      </p>
      {completion.list}
      {picking.value && (
        <picking.value.EmojiPicker
          onPick={(emoji) => insert(emoji)}
          onClose={() => {
            picking.value = undefined;
            input.current?.focus();
          }}
        />
      )}
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

/**
 * Rejects files that are pasted, or dropped anywhere on the page: the browser would open a dropped
 * file in place of the chat. A paste with text is not rejected: spreadsheets add a picture to it.
 *
 * @returns a function that stops it.
 */
function rejectFiles(onReject: () => void): () => void {
  const hasFiles = (data: DataTransfer | null) => data?.types.includes('Files') === true;
  const onPaste = ({ clipboardData: data }: ClipboardEvent) => {
    if (hasFiles(data) && data?.getData('text/plain') === '') onReject();
  };
  const onDrag = (event: DragEvent) => {
    if (!hasFiles(event.dataTransfer)) return;
    event.preventDefault();
    if (event.type === 'drop') onReject();
    else if (event.dataTransfer) event.dataTransfer.dropEffect = 'none';
  };
  document.addEventListener('paste', onPaste);
  for (const type of ['dragover', 'drop'] as const) document.addEventListener(type, onDrag);
  return () => {
    document.removeEventListener('paste', onPaste);
    for (const type of ['dragover', 'drop'] as const) document.removeEventListener(type, onDrag);
  };
}

/** Fits the height to the text, in browsers without `field-sizing`. */
function fitHeight(area: HTMLTextAreaElement | null): void {
  if (!area || CSS.supports('field-sizing', 'content')) return;
  area.style.height = 'auto';
  area.style.height = `${area.scrollHeight}px`;
}
