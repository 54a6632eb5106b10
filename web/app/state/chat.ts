import { batch, computed, effect, signal } from '@preact/signals';
import { connect, type Hub, type HubError, type State } from '../../sdk/index.ts';
import { announce } from './announcer.ts';
import { notify, titleOf } from './attention.ts';
import { Conversation } from './conversation.ts';
import { onRemembered, recall, remember } from './memory.ts';
import { asks, credentials, learnSignIn } from './sign-in.ts';
import type { Said } from './timeline.ts';

const FIRST_ROOM = 'lobby';
/** The server's code for a reader that was too slow. */
const SLOW = 4000;
/** And for one that has not signed in. */
const UNAUTHENTICATED = 4501;
/** So long it is told after it was mended. */
const TOLD_MS = 10_000;

/** Where the connection stands; `until`: when it is tried again, by `performance.now()`. */
export type Connection = State & { readonly until?: number };

/** The chat of one tab: who one is, which rooms one is in, and which is looked at. */
export class Chat {
  /** Empty until one has come in. */
  readonly name = signal('');
  /** Why one must sign in again. */
  readonly unwelcome = signal('');
  readonly connection = signal<Connection>({ name: 'connecting' });
  readonly rooms = signal<readonly Conversation[]>([]);
  readonly current = signal<Conversation | undefined>(undefined);
  /** A name that counts as soon as nothing waits to be sent under the old one. */
  readonly nextName = signal<string | undefined>(undefined);
  readonly unread = computed(() => this.rooms.value.reduce((sum, { reading }) => sum + reading.unread.value, 0));
  /** Whether the server has cut this page off, for reading too slowly, a moment ago. */
  readonly cutOff = signal(false);
  /** Messages that wait, in all rooms. */
  readonly waiting = computed(() =>
    this.rooms.value.reduce((sum, { outgoing }) => sum + outgoing.waiting.value.length, 0),
  );
  #hub: Hub | undefined;

  /** Connects as whoever one was, if one ever was. */
  async start(): Promise<void> {
    await learnSignIn();
    addEventListener('hashchange', () => this.#follow());
    document.addEventListener('visibilitychange', () => this.#look());
    onRemembered(({ seen }) => {
      for (const room of this.rooms.value) {
        const place = seen[room.name];
        if (place) room.reading.seenElsewhere(place);
      }
    });
    effect(() => {
      document.title = titleOf(this.unread.value, this.current.value?.name);
    });
    effect(() => {
      if (this.nextName.value !== undefined && this.waiting.value === 0) this.enter(this.nextName.peek() ?? '');
    });
    const { name } = recall();
    if (name !== '') this.enter(name);
  }

  /** Comes in under a name, or goes on under another. */
  enter(name: string): void {
    remember(() => ({ name }));
    this.#hub?.close();
    const hub = connect(new URL('ws', location.href), {
      user: name,
      ...(asks.value !== 'nothing' && { token: credentials }),
    });
    this.#hub = hub;
    batch(() => {
      this.name.value = name;
      this.nextName.value = undefined;
      for (const room of this.rooms.value) room.bind(hub, name);
    });
    hub.on('state', (state) => this.#onState(hub, state));
    hub.on('error', (error) => this.#onError(error));
    if (this.rooms.value.length > 0) return;
    for (const room of recall().rooms) this.#add(room);
    this.#follow();
  }

  /** Takes another name: at once, or when all that was said under the old one has been sent. */
  rename(name: string): void {
    this.nextName.value = name === this.name.value ? undefined : name;
  }

  /** Shows a room, and joins it if one is not in it. */
  open(name: string): void {
    const hash = hashOf(name);
    if (location.hash === hash) this.#follow();
    else location.hash = hash;
  }

  leave(room: Conversation): void {
    room.leave();
    remember(({ rooms }) => ({ rooms: rooms.filter((name) => name !== room.name) }));
    const at = this.rooms.value.indexOf(room);
    this.rooms.value = this.rooms.value.filter((other) => other !== room);
    if (this.current.value !== room) return;
    const next = this.rooms.value[at] ?? this.rooms.value.at(-1);
    if (next) this.open(next.name);
    else {
      history.replaceState(null, '', '#');
      this.#show(undefined);
    }
  }

  reconnect(): void {
    this.#hub?.reconnect();
  }

  /** What the address names is shown. */
  #follow(): void {
    if (!this.#hub) return;
    const name = roomIn(location.hash) ?? (this.rooms.value[0]?.name || FIRST_ROOM);
    if (location.hash !== hashOf(name)) history.replaceState(null, '', hashOf(name));
    this.#show(this.rooms.value.find((room) => room.name === name) ?? this.#add(name));
  }

  #show(room: Conversation | undefined): void {
    this.current.value = room;
    this.#look();
  }

  #look(): void {
    for (const room of this.rooms.value) room.look(room === this.current.value && !document.hidden);
  }

  #add(name: string): Conversation {
    const room = new Conversation(name, { heard: (...told) => this.#heard(...told) });
    if (this.#hub) room.bind(this.#hub, this.name.value);
    this.rooms.value = [...this.rooms.value, room].toSorted((a, b) => a.name.localeCompare(b.name));
    remember(({ rooms }) => ({ rooms: rooms.includes(name) ? rooms : [...rooms, name] }));
    return room;
  }

  #heard(room: Conversation, said: readonly Said[]): void {
    const last = said.at(-1);
    if (room === this.current.value && !document.hidden) announce(said);
    if (last) notify(room.name, last, () => this.open(room.name));
  }

  #onState(hub: Hub, state: State): void {
    if (hub !== this.#hub || state.name === 'closed') return;
    if (state.name === 'refused' && state.code === UNAUTHENTICATED && asks.value !== 'nothing') {
      hub.close();
      this.unwelcome.value = 'Please sign in again.';
      this.name.value = '';
      return;
    }
    const until = state.name === 'reconnecting' ? performance.now() + state.in : undefined;
    this.connection.value = until === undefined ? state : { ...state, until };
    if ('code' in state && state.code === SLOW) this.cutOff.value = true;
    if (state.name === 'live') setTimeout(() => (this.cutOff.value = false), TOLD_MS);
    // Another than one asked for, where the server decides.
    if (state.name === 'live') this.name.value = state.user;
    for (const room of this.rooms.value) {
      if (state.name === 'live') room.named(state.user);
      room.outgoing.refresh();
    }
  }

  #onError({ room: name, message }: HubError): void {
    const room = this.rooms.value.find((one) => one.name === name);
    if (room?.standing.value.name === 'joining') room.refused(message);
  }
}

/** The address of a room. */
export function hashOf(room: string): string {
  return `#/${encodeURIComponent(room)}`;
}

/** @returns the room that an address names; undefined where it names none. */
function roomIn(hash: string): string | undefined {
  try {
    return nameOfRoom(decodeURIComponent(hash.replace(/^#\/?/, '')));
  } catch {
    return undefined;
  }
}

/** @returns what a room is called that someone names; undefined where that is no name. */
export function nameOfRoom(typed: string): string | undefined {
  const name = typed.trim().replace(/^#+/, '').trim();
  const bytes = new TextEncoder().encode(name).byteLength;
  return bytes > 0 && bytes <= 128 ? name : undefined;
}
