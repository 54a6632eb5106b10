import { type ServerMessage, USER_BYTES, type Welcome } from '../../src/protocol/v1.ts';
import { hubError } from './error.ts';
import { Events } from './events.ts';
import { Link } from './link.ts';
import { Outbox } from './outbox.ts';
import { RoomClient } from './room.ts';
import { type Item, openSlot, type Slot } from './slot.ts';
import type { Hub, HubError, HubEvents, JoinOptions, Options, Room, State, WebSocketClass } from './types.ts';

/** A connection's rooms, session and outbox: it takes each message of the server to where it belongs. */
export class HubClient implements Hub {
  readonly #user: string | undefined;
  readonly #link: Link;
  readonly #outbox: Outbox;
  readonly #events = new Events<HubEvents>();
  readonly #rooms = new Map<string, RoomClient<unknown, unknown>>();
  #slot: Slot | undefined;
  #resume: string | undefined;

  constructor(url: string | URL | undefined, { user, token, storage, WebSocket }: Options) {
    const address = addressOf(url);
    if (user !== undefined && !isName(user)) throw new TypeError(`a user has a name of 1 to ${USER_BYTES} bytes`);
    this.#user = user;
    this.#outbox = new Outbox({
      open: (room) => this.#rooms.get(room)?.joined === true,
      transmit: (text) => this.#link.send(text),
      save: () => this.#save(),
      failed: (item, error) => this.#failed(item, error),
    });
    this.#link = new Link(() => this.#withSession(address), WebSocket ?? platformWebSocket(), token, {
      state: (state) => this.#stands(state),
      welcome: (welcome) => this.#welcome(welcome),
      message: (message) => this.#receive(message),
    });
    void this.#start(['pumphouse', address.host + address.pathname, user ?? ''].join(' '), storage);
  }

  get state(): State {
    return this.#link.state;
  }

  get pending(): number {
    return this.#outbox.items.length;
  }

  on<E extends keyof HubEvents>(event: E, handler: (told: HubEvents[E]) => void): () => void {
    return this.#events.on(event, handler);
  }

  join<T, S>(name: string, options: JoinOptions = {}): Room<T, S> {
    const known = this.#rooms.get(name);
    if (known) return known as unknown as Room<T, S>;
    const room = new RoomClient<T, S>(name, this.#link, this.#outbox, options, () => {
      this.#rooms.delete(name);
      this.#outbox.drop(name, hubError('left', `${name} was left`, name));
    });
    this.#rooms.set(name, room as unknown as RoomClient<unknown, unknown>);
    if (this.state.name === 'live') room.join();
    return room;
  }

  reconnect(): void {
    if (this.#slot) this.#link.open();
  }

  close(): void {
    const closed = hubError('closed', 'the connection was closed');
    this.#link.close();
    this.#outbox.stop(closed);
    for (const room of this.#rooms.values()) room.end(closed);
    this.#slot?.release();
  }

  async #start(name: string, storage: Options['storage']): Promise<void> {
    const slot = await openSlot(name, storage);
    if (this.state.name === 'closed') return slot.release();
    this.#slot = slot;
    const { resume, outbox = [] } = slot.load();
    this.#resume = resume;
    this.#outbox.restore(outbox);
    this.#link.open();
  }

  #withSession(address: URL): string {
    const url = new URL(address);
    if (this.#user !== undefined) url.searchParams.set('user', this.#user);
    if (this.#resume !== undefined) url.searchParams.set('resume', this.#resume);
    return url.href;
  }

  #save(): void {
    this.#slot?.save({ resume: this.#resume, outbox: this.#outbox.items });
  }

  #stands(state: State): void {
    for (const room of this.#rooms.values()) {
      if (state.name === 'live') room.join();
      else room.lost();
    }
    this.#events.emit('state', state);
  }

  #welcome({ resume, limits }: Welcome): void {
    this.#resume = resume;
    this.#outbox.start(limits);
    this.#save();
  }

  /** A room that was left, or refused, has told why already. */
  #failed({ room: name, id, json }: Item, error: HubError): void {
    const room = this.#rooms.get(name);
    room?.failedToSend(id, JSON.parse(json), error);
    if (room?.joined) this.#events.emit('error', error);
  }

  #receive(message: ServerMessage): void {
    const room = 'room' in message && message.room !== undefined ? this.#rooms.get(message.room) : undefined;
    if (message.t === 'sent') {
      room?.sent(message.id, message.seq);
      this.#outbox.sent(message.id, message.seq);
    } else if (message.t !== 'error') room?.receive(message);
    else if (!this.#outbox.refused(message) && !room?.failed(message)) {
      this.#events.emit('error', hubError(message.code, message.message, message.room));
    }
  }
}

function addressOf(given: string | URL | undefined): URL {
  const page = globalThis.location?.href;
  const url = new URL(given ?? '/', page);
  url.protocol = url.protocol.replace('http', 'ws');
  if (url.pathname === '/') url.pathname = '/ws';
  url.hash = '';
  return url;
}

function platformWebSocket(): WebSocketClass {
  if (globalThis.WebSocket) return globalThis.WebSocket;
  throw new TypeError(
    'there is no WebSocket here: give one, as in connect(url, { WebSocket }) with that of the package ws',
  );
}

function isName(user: string): boolean {
  return user !== '' && new TextEncoder().encode(user).byteLength <= USER_BYTES;
}
