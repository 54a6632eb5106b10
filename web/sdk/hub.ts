import { USER_BYTES, type Welcome } from '../../src/protocol/v1.ts';
import { hubError } from './error.ts';
import { Events } from './events.ts';
import { byteLength } from './json.ts';
import { Link, type RoomMessage } from './link.ts';
import { Outbox } from './outbox.ts';
import { RoomClient } from './room.ts';
import { type Item, openSlot, type Slot } from './slot.ts';
import type { Hub, HubError, HubEvents, JoinOptions, Options, Room, State, WebSocketClass } from './types.ts';

/**
 * Owns a connection's rooms, session and outbox, and dispatches the messages of the server to them.
 */
export class HubClient implements Hub {
  readonly #link: Link;
  readonly #outbox: Outbox;
  readonly #events = new Events<HubEvents>();
  readonly #rooms = new Map<string, RoomClient<unknown, unknown>>();
  #slot: Slot | undefined;
  #resume: string | undefined;

  constructor(url: string | URL | undefined, options: Options) {
    const { user, idPrefix = '' } = options;
    const endpoint = endpointOf(url);
    if (user !== undefined && !isUserName(user)) throw new TypeError(`the user name must be 1 to ${USER_BYTES} bytes`);
    this.#outbox = new Outbox({
      idPrefix,
      isJoined: (room) => this.#rooms.get(room)?.joined === true,
      transmit: (text) => this.#link.send(text),
      save: () => this.#save(),
      onFailure: (item, error) => this.#onSendFailure(item, error),
    });
    if (user !== undefined) endpoint.searchParams.set('user', user);
    this.#link = new Link(endpoint.href, options, {
      resume: () => this.#resume,
      rooms: this.#rooms,
      state: (state) => this.#onState(state),
      welcome: (welcome) => this.#onWelcome(welcome),
      message: (message) => this.#onMessage(message),
    });
    void this.#start(`pumphouse ${endpoint.host}${endpoint.pathname} ${user ?? ''}`, options);
  }

  get state(): State {
    return this.#link.state;
  }

  get pending(): number {
    return this.#outbox.items.length;
  }

  on<E extends keyof HubEvents>(event: E, handler: (payload: HubEvents[E]) => void): () => void {
    return this.#events.on(event, handler);
  }

  join<T, S>(name: string, options: JoinOptions = {}): Room<T, S> {
    const existing = this.#rooms.get(name);
    if (existing) return existing as unknown as Room<T, S>;
    const room = new RoomClient<T, S>(name, this.#link, this.#outbox, options, (error) => {
      this.#rooms.delete(name);
      this.#outbox.drop(name, error);
    });
    this.#rooms.set(name, room as unknown as RoomClient<unknown, unknown>);
    if (this.state.name === 'live') room.join();
    return room;
  }

  reconnect(): void {
    this.#link.open();
  }

  close(): void {
    this.#end('close() was called');
  }

  /** Rejects, which the platform reports as uncaught, if there is no WebSocket to connect with. */
  async #start(slotName: string, { storage, WebSocket, transport }: Options): Promise<void> {
    const socketClass =
      transport === 'http' ? undefined : (WebSocket ?? globalThis.WebSocket ?? (await this.#loadWebSocket()));
    const slot = await openSlot(slotName, storage);
    if (this.state.name === 'closed') return slot.release();
    this.#slot = slot;
    const { resume, outbox = [] } = slot.load();
    this.#resume = resume;
    this.#outbox.restore(outbox);
    this.#link.start(socketClass);
  }

  async #loadWebSocket(): Promise<WebSocketClass> {
    return (await import('./fallback/fallback.ts')).loadWebSocket((why) => this.#end(why));
  }

  #end(why: string): void {
    const closed = hubError({ code: 'closed', message: why });
    this.#link.close();
    this.#outbox.stop(closed);
    for (const room of this.#rooms.values()) room.end(closed);
    this.#slot?.release();
  }

  #save(): void {
    this.#slot?.save({ resume: this.#resume, outbox: this.#outbox.items });
  }

  #onState(state: State): void {
    for (const room of this.#rooms.values()) {
      room.disconnect();
      if (state.name === 'live') room.join();
    }
    this.#events.emit('state', state);
  }

  #onWelcome({ resume, limits }: Welcome): void {
    this.#resume = resume;
    this.#outbox.restart(limits);
    this.#save();
  }

  /**
   * Emits no event for a room that was left, even if it was joined again meanwhile. Emits no hub
   * error for a room whose join was rejected: that rejection was emitted.
   */
  #onSendFailure({ room: name, id, json }: Item, error: HubError): void {
    const room = error.code === 'left' || error.code === 'removed' ? undefined : this.#rooms.get(name);
    room?.emit('failed', { id, data: JSON.parse(json), error });
    if (room?.joined) this.#events.emit('error', error);
  }

  #onMessage(message: RoomMessage): void {
    const room = this.#rooms.get(message.room as string);
    if (message.t === 'sent') {
      const { id, seq } = message;
      room?.emit('sent', { id, seq });
      this.#outbox.acknowledge(id, seq);
    } else if (message.t !== 'error') room?.receive(message);
    // After a removal from a room, `not_member` is the answer to what was sent before it.
    else if (
      !this.#outbox.handleError(message) &&
      (message.code !== 'not_member' || room?.joined) &&
      !room?.handleError(message)
    ) {
      this.#events.emit('error', hubError(message));
    }
  }
}

/** Resolves against the page, if there is one, and completes the scheme and the path. */
function endpointOf(input: string | URL | undefined): URL {
  const base = globalThis.location?.href;
  const url = new URL(input ?? '/', base);
  url.protocol = url.protocol.replace('http', 'ws');
  if (url.pathname === '/') url.pathname = '/ws';
  url.hash = '';
  return url;
}

function isUserName(user: string): boolean {
  return user !== '' && byteLength(user) <= USER_BYTES;
}
