import './overlay-dialogs.css';
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { type Chat, parseRoomName } from '../state/chat.ts';
import { mentionOf } from '../state/completion.ts';
import type { Conversation } from '../state/conversation.ts';
import { fuzzySort } from '../state/fuzzy.ts';
import { loadStored } from '../state/storage.ts';
import { count, visibleName } from './format.ts';
import { messageActions } from './message-actions.tsx';
import { GO_TO_KEYS } from './overlay.ts';
import { pane, touch } from './screen.ts';

const MAX_RESULTS = 50;

/** Closes the open dialog. The focus returns to where it was. */
function closeDialog(): void {
  document.querySelector<HTMLDialogElement>('dialog[open]')?.close();
}

interface DialogProps {
  readonly label: string;
  readonly class: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

function Dialog({ label, class: name, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => dialog.current?.showModal(), []);
  return (
    // A click beside the dialog is one on its backdrop. Escape closes it by the keyboard.
    // biome-ignore lint/a11y/useKeyWithClickEvents: see above
    <dialog
      ref={dialog}
      class={name}
      aria-label={label}
      onClose={onClose}
      onClick={({ target }) => target === dialog.current && dialog.current?.close()}
    >
      {children}
    </dialog>
  );
}

/** Where the user can go. */
interface Destination {
  readonly key: string;
  readonly symbol: string;
  readonly name: string;
  /** Distinguishes the destination, and says what happens there. */
  readonly detail: string;
  readonly go: () => void;
}

/** Goes to a room, or to a person: to the latest message, or to a mention of those without one. */
function GoTo({ chat, onClose }: { chat: Chat; onClose: () => void }) {
  const query = useSignal('');
  const index = useSignal(0);
  const list = useRef<HTMLDivElement>(null);
  // As they were when the dialog opened: the list does not move under the pointer.
  const all = useRef<readonly Destination[]>(undefined);
  all.current ??= [...roomsOf(chat), ...peopleOf(chat)];
  const found = fuzzySort(all.current, ({ name }) => name, query.value).slice(0, MAX_RESULTS);
  const other = parseRoomName(query.value);
  if (other !== undefined && !chat.rooms.value.some(({ name }) => name === other)) found.push(joining(chat, other));
  useEffect(() => list.current?.children[index.value]?.scrollIntoView({ block: 'nearest' }), [index.value]);
  const go = (at: number) => {
    const destination = found[at];
    if (!destination) return;
    closeDialog();
    pane.value = undefined;
    destination.go();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing || event.keyCode === 229) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) index.value = (index.value + step + found.length) % Math.max(1, found.length);
    else if (event.key === 'Enter') go(index.value);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog label="Go to a room or person" class="go-to" onClose={onClose}>
      <input
        role="combobox"
        aria-label="Room or person"
        aria-autocomplete="list"
        aria-expanded={found.length > 0}
        aria-controls="go-to-list"
        aria-activedescendant={found.length > 0 ? `go-to-${index.value}` : undefined}
        placeholder="Room or person"
        autocomplete="off"
        autocapitalize="off"
        dir="auto"
        onInput={({ currentTarget }) => {
          query.value = currentTarget.value;
          index.value = 0;
        }}
        onKeyDown={onKeyDown}
      />
      <div id="go-to-list" ref={list} role="listbox" aria-label="Rooms and people">
        {found.map(({ key, symbol, name, detail }, at) => (
          // The keys are those of the text field, which keeps the focus.
          // biome-ignore lint/a11y/useKeyWithClickEvents: see above
          // biome-ignore lint/a11y/useFocusableInteractive: see above
          <div key={key} id={`go-to-${at}`} role="option" aria-selected={at === index.value} onClick={() => go(at)}>
            <span class="symbol" aria-hidden="true">
              {symbol}
            </span>
            <bdi>{visibleName(name)}</bdi>
            <span class="muted">{detail}</span>
          </div>
        ))}
      </div>
      <p class="visually-hidden" role="status">
        {count(found.length, 'result')}
      </p>
      {touch && (
        <button type="button" onClick={closeDialog}>
          Cancel
        </button>
      )}
    </Dialog>
  );
}

/** The joined rooms, the one that was opened last first. */
function roomsOf(chat: Chat): Destination[] {
  const recent = loadStored().rooms;
  const rank = ({ name }: Conversation) => (recent.includes(name) ? recent.indexOf(name) : recent.length);
  const rooms = chat.rooms.peek().filter((room) => room !== chat.current.peek());
  const current = chat.current.peek();
  return [...rooms.toSorted((a, b) => rank(a) - rank(b)), ...(current ? [current] : [])].map((room) => {
    const { unread, mentions } = room.readState;
    const named = mentions.peek() > 0 ? `${count(mentions.peek(), 'mention')}, ` : '';
    const detail = unread.peek() > 0 ? `${named}${unread.peek()} unread` : room === current ? 'open' : '';
    return { key: `# ${room.name}`, symbol: '#', name: room.name, detail, go: () => chat.open(room.name) };
  });
}

function joining(chat: Chat, name: string): Destination {
  return { key: `+ ${name}`, symbol: '+', name, detail: 'join this room', go: () => chat.open(name) };
}

/** The people of the joined rooms, whoever wrote last first. */
function peopleOf(chat: Chat): Destination[] {
  const people = new Map<string, { room: Conversation; at: number; seq?: number }>();
  const current = chat.current.peek();
  const rooms = chat.rooms.peek();
  for (const room of [...rooms.filter((each) => each !== current), ...(current ? [current] : [])]) {
    for (const name of room.knownNames()) {
      if (name !== room.user && (people.get(name)?.at ?? 0) === 0) people.set(name, { room, at: 0 });
    }
    for (const entry of room.timeline.entries) {
      if (entry.kind !== 'message' || entry.lost || entry.from === room.user) continue;
      if (entry.at >= (people.get(entry.from)?.at ?? 0)) people.set(entry.from, { room, at: entry.at, seq: entry.seq });
    }
  }
  return [...people]
    .sort(([, a], [, b]) => b.at - a.at)
    .map(([name, { room, seq }]) => ({
      key: `@ ${name}`,
      symbol: '@',
      name,
      detail: seq === undefined ? `mention in ${visibleName(room.name)}` : `in ${visibleName(room.name)}`,
      go: () => (seq === undefined ? mention(chat, room, name) : chat.open(room.name, seq)),
    }));
}

/** Opens a room with a mention in the draft. */
function mention(chat: Chat, room: Conversation, name: string): void {
  const draft = room.outgoing.draft.peek();
  const space = draft === '' || /\s$/.test(draft) ? '' : ' ';
  room.outgoing.setDraft(`${draft}${space}${mentionOf(name)} `);
  chat.open(room.name);
  requestAnimationFrame(() => document.getElementById('input')?.focus());
}

/** The keys of the page. */
function Shortcuts({ onClose }: { onClose: () => void }) {
  const groups: [string, [string, string][]][] = [
    [
      'Anywhere',
      [
        [GO_TO_KEYS, 'Go to a room or person'],
        ['?', 'Show these shortcuts'],
        ['Esc', 'Close a dialog, a menu or a list'],
      ],
    ],
    [
      'While writing',
      [
        ...(touch
          ? []
          : ([
              ['Enter', 'Send'],
              ['Shift+Enter', 'Insert a line break'],
            ] satisfies [string, string][])),
        [':name', 'Complete an emoji'],
        ['@name', 'Complete a person'],
        ['↑', 'Edit your last message'],
        ['Esc', 'Stop editing or replying'],
      ],
    ],
    [
      'In the conversation',
      [
        ['Enter', 'Focus the last message on the screen'],
        ['↑ ↓', 'Focus another message'],
        ['Enter', 'Show the actions of the focused message'],
        ...messageActions.map(({ shortcut, label }): [string, string] => [shortcut.toUpperCase(), label]),
        ['Esc', 'Return to the conversation'],
      ],
    ],
  ];
  return (
    <Dialog label="Keyboard shortcuts" class="shortcuts" onClose={onClose}>
      <div class="title">
        <h2>Keyboard shortcuts</h2>
        <button type="button" class="quiet" onClick={closeDialog}>
          Close
        </button>
      </div>
      {groups.map(([title, keys]) => (
        <section key={title}>
          <h3>{title}</h3>
          <dl>
            {keys.map(([key, text]) => (
              <div key={text}>
                <dt>
                  <kbd>{key}</kbd>
                </dt>
                <dd>{text}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </Dialog>
  );
}

/** The dialogs that keys open. */
export const dialogs = { GoTo, Shortcuts };
