import { batch, computed, effect, signal } from '@preact/signals';
import { connect, type Hub, type HubError, type State } from '../../sdk/index.ts';
import { announce } from './announcer.ts';
import { Conversation } from './conversation.ts';
import { documentTitle, notify, watchNotificationSettings } from './notifications.ts';
import { TabLock } from './own-tabs.ts';
import { personLabel } from './people.ts';
import {
  currentCredential,
  discardTicket,
  loadRequiredCredential,
  requiredCredential,
  unauthenticatedText,
} from './sign-in.ts';
import { browserId, loadStored, onStoredChange, updateStored } from './storage.ts';
import type { MessageEntry } from './timeline.ts';

/** The room that opens if the URL names none and no other is joined. */
export const DEFAULT_ROOM = 'lobby';
/** The close code of a slow consumer. */
const SLOW = 4000;
/** The close code of a client that is not authenticated. */
const UNAUTHENTICATED = 4501;
/** How long the page offers to return to a room, in milliseconds. */
const UNDO_MS = 10_000;
/** How long a line about what the user has done is shown, in milliseconds. */
const NOTICE_MS = 5_000;
/** How long the page shows that the user was removed from a room. */
const REMOVAL_NOTICE_MS = 60_000;
/** How long the page reports an eviction after it reconnects. */
const EVICTION_NOTICE_MS = 10_000;
/** The maximum number of mentions that notify at once, as after a time offline. */
const MAX_NOTIFICATIONS = 5;

/**
 * The state of the connection. `until` is the time of the next attempt, as in `performance.now()`.
 */
export type Connection = State & { readonly until?: number };

/** A room that the user has left, or was removed from by the server. */
export interface LeftRoom {
  readonly name: string;
  readonly removed: boolean;
}

/** The chat of one tab: the user, the connection, the joined rooms and the current room. */
export class Chat {
  /** The user's name, or an empty string before sign-in. */
  readonly name = signal('');
  /** Why the user has to sign in again, or an empty string. */
  readonly signInError = signal('');
  readonly connection = signal<Connection>({ name: 'connecting' });
  readonly rooms = signal<readonly Conversation[]>([]);
  readonly current = signal<Conversation | undefined>(undefined);
  /** A new name, which takes effect when no message is pending under the old one. */
  readonly pendingName = signal<string | undefined>(undefined);
  readonly unread = computed(() => this.rooms.value.reduce((sum, { readState }) => sum + readState.unread.value, 0));
  readonly unreadAtMost = computed(() => this.rooms.value.some(({ readState }) => readState.unreadAtMost.value));
  readonly mentions = computed(() =>
    this.rooms.value.reduce((sum, { readState }) => sum + readState.mentions.value, 0),
  );
  /** Whether the server has recently evicted this page as a slow consumer. */
  readonly evicted = signal(false);
  /** The number of pending messages and changes in all rooms. */
  readonly pendingCount = computed(() => this.rooms.value.reduce((sum, room) => sum + room.pendingCount.value, 0));
  #hub: Hub | undefined;
  /** Tells the other tabs which room is on the screen here, and whether this tab has the focus. */
  readonly #screen = new TabLock();

  /** Connects under the stored name, if there is one. */
  async start(): Promise<void> {
    await loadRequiredCredential();
    watchNotificationSettings();
    addEventListener('hashchange', () => this.#openFromHash());
    for (const event of ['focus', 'blur']) addEventListener(event, () => this.#updateActive());
    document.addEventListener('visibilitychange', () => {
      this.#updateActive();
      if (document.hidden) for (const room of this.rooms.value) room.archive.storeNow();
    });
    onStoredChange(({ seen }) => {
      for (const room of this.rooms.value) {
        const place = seen[room.name];
        if (place) room.readState.seenElsewhere(place);
      }
    });
    effect(() => {
      document.title = documentTitle(this.unread.value, this.unreadAtMost.value, this.current.value?.name);
    });
    effect(() => {
      if (this.pendingName.value !== undefined && this.pendingCount.value === 0) {
        this.connectAs(this.pendingName.peek() ?? '');
      }
    });
    const { name } = loadStored();
    if (name !== '') this.connectAs(name);
  }

  /** Why the URL is invalid, or an empty string. An invalid URL opens no other room instead. */
  readonly linkError = signal('');
  /** The room that the user has just left, and may return to, or was removed from. */
  readonly leftRoom = signal<LeftRoom | undefined>(undefined);
  /** Whether the server has accepted the current credential. */
  #wasLive = false;
  #leftTimer: ReturnType<typeof setTimeout> | undefined;

  /** Connects under a name. Rooms that are already joined move to the new connection. */
  connectAs(name: string): void {
    updateStored(() => ({ name }));
    this.#hub?.close();
    const hub = connect(new URL('ws', location.href), {
      user: name,
      idPrefix: `${browserId()}.`,
      ...(requiredCredential.value !== 'nothing' && { token: currentCredential }),
    });
    this.#hub = hub;
    this.#wasLive = false;
    batch(() => {
      this.name.value = name;
      this.pendingName.value = undefined;
      this.signInError.value = '';
      for (const room of this.rooms.value) room.bind(hub, name);
    });
    hub.on('state', (state) => this.#onState(hub, state));
    hub.on('error', (error) => this.#onError(error));
    if (this.rooms.value.length > 0) return;
    for (const room of loadStored().rooms) this.#add(room);
    this.#openFromHash();
  }

  /** Changes the name once every pending message has been sent under the old one. */
  rename(name: string): void {
    this.pendingName.value = name === this.name.value ? undefined : name;
  }

  /** A line about what the user has just done, or an empty string. */
  readonly notice = signal('');
  #noticeTimer: ReturnType<typeof setTimeout> | undefined;

  /** Shows a line for a while. */
  showNotice(line: string): void {
    this.notice.value = line;
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = setTimeout(() => (this.notice.value = ''), NOTICE_MS);
  }

  /**
   * Shows a room, and joins it if necessary.
   *
   * @param seq the number of the message to show. @default where the room was left
   */
  open(name: string, seq?: number): void {
    const hash = hashOf(name, seq);
    if (location.hash === hash) this.#openFromHash();
    else location.hash = hash;
  }

  leave(room: Conversation): void {
    room.leave();
    this.#drop(room, { name: room.name, removed: false });
  }

  #drop(room: Conversation, left: LeftRoom): void {
    updateStored(({ rooms }) => ({ rooms: rooms.filter((name) => name !== room.name) }));
    const at = this.rooms.value.indexOf(room);
    this.rooms.value = this.rooms.value.filter((other) => other !== room);
    clearTimeout(this.#leftTimer);
    this.leftRoom.value = left;
    const ms = left.removed ? REMOVAL_NOTICE_MS : UNDO_MS;
    this.#leftTimer = setTimeout(() => (this.leftRoom.value = undefined), ms);
    if (this.current.value !== room) return;
    const next = this.rooms.value[at] ?? this.rooms.value.at(-1);
    if (next) this.open(next.name);
    else {
      history.replaceState(null, '', '#');
      this.#setCurrent(undefined);
    }
  }

  /** Joins the room again that the user has just left. */
  undoLeave(): void {
    const left = this.leftRoom.value;
    this.leftRoom.value = undefined;
    if (left !== undefined) this.open(left.name);
  }

  reconnect(): void {
    this.#hub?.reconnect();
  }

  /** Shows the room that the URL names. */
  #openFromHash(): void {
    if (!this.#hub) return;
    this.linkError.value = linkErrorOf(location.hash);
    if (this.linkError.value !== '') {
      this.#setCurrent(undefined);
      return;
    }
    const name = roomFromHash(location.hash) ?? (this.rooms.value[0]?.name || DEFAULT_ROOM);
    const seq = messageInHash(location.hash);
    // A link to a message opens it once. The link of the room stays.
    if (location.hash !== hashOf(name)) history.replaceState(null, '', hashOf(name));
    const room = this.rooms.value.find((other) => other.name === name) ?? this.#add(name);
    if (seq !== undefined) room.history.showMessage(seq);
    this.#setCurrent(room);
  }

  #setCurrent(room: Conversation | undefined): void {
    this.current.value = room;
    if (room) updateStored(({ rooms }) => ({ rooms: [room.name, ...rooms.filter((name) => name !== room.name)] }));
    this.#updateActive();
  }

  #updateActive(): void {
    const shown = document.hidden ? undefined : this.current.value;
    for (const room of this.rooms.value) room.setActive(room === shown);
    this.#screen.hold('screen', shown?.name, document.hasFocus());
  }

  #add(name: string): Conversation {
    const room = new Conversation(name, {
      onMessages: (conversation, messages) => this.#onMessages(conversation, messages),
      onFailure: (line) => this.showNotice(line),
      onRemoved: (conversation) => this.#drop(conversation, { name: conversation.name, removed: true }),
    });
    if (this.#hub) room.bind(this.#hub, this.name.value);
    this.rooms.value = [...this.rooms.value, room].toSorted((a, b) => a.name.localeCompare(b.name));
    updateStored(({ rooms }) => ({ rooms: rooms.includes(name) ? rooms : [...rooms, name] }));
    if (this.connection.value.name === 'offline') void room.archive.load();
    return room;
  }

  #onMessages(room: Conversation, messages: readonly MessageEntry[]): void {
    const labelled = (message: MessageEntry) => ({ ...message, from: personLabel(room.authorOf(message)) });
    if (room === this.current.value && !document.hidden) {
      announce(messages.map(labelled));
      return;
    }
    const mentions = messages.filter((message) => room.mentionsUser(message)).slice(-MAX_NOTIFICATIONS);
    for (const message of mentions.length > 0 ? mentions : messages.slice(-1)) {
      void notify(room, labelled(message), mentions.length > 0, hashOf(room.name, message.seq));
    }
  }

  #onState(hub: Hub, state: State): void {
    if (hub !== this.#hub || state.name === 'closed') return;
    if (state.name === 'refused' && state.code === UNAUTHENTICATED && requiredCredential.value !== 'nothing') {
      hub.close();
      this.signInError.value = unauthenticatedText(this.#wasLive);
      this.name.value = '';
      return;
    }
    this.connection.value = 'in' in state ? { ...state, until: performance.now() + state.in } : state;
    if ('code' in state && state.code === SLOW) this.evicted.value = true;
    if (state.name === 'live') {
      this.#wasLive = true;
      discardTicket();
      setTimeout(() => (this.evicted.value = false), EVICTION_NOTICE_MS);
      this.name.value = state.user; // may be another name than the requested one
    }
    const unreachable = state.name === 'offline' || state.name === 'reconnecting' || state.name === 'waiting';
    for (const room of this.rooms.value) {
      if (unreachable) void room.archive.load();
      if (state.name === 'live') room.setUser(state.user);
      room.outgoing.refresh();
    }
  }

  #onError({ room: name, message }: HubError): void {
    const room = this.rooms.value.find((other) => other.name === name);
    if (room?.membership.value.name === 'joining') room.reject(message);
  }
}

/** Returns the URL fragment of a room, or of a message in it. */
export function hashOf(room: string, seq?: number): string {
  return `#/${encodeURIComponent(room)}${seq === undefined ? '' : `?message=${seq}`}`;
}

const MESSAGE = /\?message=([1-9]\d{0,14})$/;

/** Returns the number of the message that a URL fragment names; undefined if it names none. */
function messageInHash(hash: string): number | undefined {
  const digits = MESSAGE.exec(hash)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Returns the room that a URL fragment names; undefined if it names none. */
function roomFromHash(hash: string): string | undefined {
  try {
    return parseRoomName(decodeURIComponent(nameInHash(hash)));
  } catch {
    return undefined;
  }
}

/** Returns why a URL fragment names no room; an empty string if it is empty or names one. */
function linkErrorOf(hash: string): string {
  const name = nameInHash(hash);
  if (name === '' || roomFromHash(hash) !== undefined) return '';
  try {
    const bytes = new TextEncoder().encode(decodeURIComponent(name)).byteLength;
    return bytes > MAX_ROOM_BYTES ? `Its room name is longer than ${MAX_ROOM_BYTES} bytes.` : 'Its room name is blank.';
  } catch {
    return 'Its room name is not encoded correctly.';
  }
}

function nameInHash(hash: string): string {
  return hash.replace(/^#\/?/, '').replace(MESSAGE, '');
}

const MAX_ROOM_BYTES = 128;

/** Returns the room name in the user's input, without a leading `#`; undefined if it is invalid. */
export function parseRoomName(input: string): string | undefined {
  const name = input.trim().replace(/^#+/, '').trim();
  const bytes = new TextEncoder().encode(name).byteLength;
  return bytes > 0 && bytes <= MAX_ROOM_BYTES ? name : undefined;
}
