import type { DraftExtra } from '../hub/changes.ts';
import type { Hub } from '../hub/hub.ts';
import type { Notice, Subscriber } from '../hub/subscriber.ts';
import type { Clock } from '../hub/time.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import { allOf, type NowOrLater } from '../protocol/now-or-later.ts';
import { isReservedRoom } from '../protocol/reserved-rooms.ts';
import { type ErrorCode, errors, MAX_ROOMS, type Place } from '../protocol/v1.ts';
import type { Command, Publication, Wire } from '../wire/wire.ts';
import { ALLOWED, type Authorizer, CommandQueue, closeFor, type Decision, type Denied } from './authorizer.ts';
import type { LifeRecorder } from './lives.ts';
import { type RateLimit, type SharedTake, TokenBucket } from './rate-limit.ts';
import { RoomLimits, type RoomRates } from './room-limits.ts';

/** The context that all read pumps share. */
export interface ReadPumpContext {
  readonly hub: Hub;
  readonly clock: Clock;
  /** Messages that each client may send. */
  readonly publishRate: RateLimit;
  /** Limits that the connections of one address or one user share. @default no such limits */
  readonly sharedLimits?: SharedTake;
  /** Messages that each client may send to some rooms, besides. @default no such limits */
  readonly roomRates?: RoomRates;
  /** Decides what clients may do. @default everything is allowed */
  readonly authorizer?: Authorizer;
  /** Records the lives of clients. @default nothing is recorded */
  readonly lives?: LifeRecorder;
  /** Whether the clients may join the rooms of the server itself. @default false */
  readonly isInternal?: boolean;
}

/** The client of a read pump. */
export interface Reader extends Subscriber {
  readonly address: string;
  /** The index of the record of its life; -1 without one. */
  readonly life: number;
  /** Whether its user is authenticated: then it may change what any of its sessions has sent. */
  readonly isVerified: boolean;
  /**
   * Sends a notice without waiting for a turn of the Hub. Does nothing where the wire cannot
   * express it.
   */
  reply(notice: Notice): void;
  /** False once it is closed, or about to be. */
  readonly reading: boolean;
  /** Stops reading, and closes it once it has got every message that the Hub has accepted. */
  endInOrder(close: Close): void;
  /** It has asked to leave a room, or was removed from it. */
  left(room: string): void;
  /** Verifies a new token, and replies with the result. */
  refresh(token: string): void;
}

// Requests are not messages, but cost something too: so many are allowed for each message.
const REQUESTS_PER_MESSAGE = 5;

// A client that is refused this often in a row ignores its errors: it is closed.
const MAX_REFUSALS = 100;

const NO_PLACE = { before: undefined, after: undefined };

/** Where a client starts in its first rooms. @default at their heads */
export interface RoomStart {
  readonly since?: Place;
  /** Messages before the head. */
  readonly history: number;
}

const RESERVED: Denied = { kind: 'denied', code: 'forbidden', message: 'the room is reserved for the server' };

type Join = Extract<Command, { kind: 'join' }>;
type Signal = Extract<Command, { kind: 'signal' }>;
type Report = Extract<Command, { kind: 'report' }>['report'];
type Request = Extract<Command, { kind: 'join' | 'leave' | 'signal' | 'history' | 'ack' | 'ping' | 'auth' | 'report' }>;

/**
 * ReadPump pumps messages from the socket to the Hub: it checks their size, decodes them, checks
 * membership, permission and rate, and posts them. It never throws, whatever the bytes. A refused
 * command is answered with an error where the wire has errors, and closes the client where it has
 * none.
 */
export class ReadPump {
  readonly #client: Reader;
  readonly #wire: Wire;
  readonly #context: ReadPumpContext;
  /** Made when they are first needed: most clients of a large room never send. */
  #messages: TokenBucket | undefined;
  #requests: TokenBucket | undefined;
  /** Undefined where no room has a limit. */
  readonly #roomLimits: RoomLimits | undefined;
  /**
   * The rooms that the client has asked to join and not left; undefined where the wire decides on
   * them.
   */
  readonly #rooms: Set<string> | undefined;
  /** The client's current room, in wires whose clients are in one room at a time. */
  #room = '';
  readonly #authorizer: Authorizer | undefined;
  /** Undefined without an authorizer. */
  readonly #queue: CommandQueue | undefined;
  #refusals = 0;

  /** @param authorizer decides for this client. */
  constructor(client: Reader, wire: Wire, context: ReadPumpContext, authorizer = context.authorizer) {
    this.#client = client;
    this.#wire = wire;
    this.#context = context;
    this.#rooms = wire.notices.has('joined') ? new Set() : undefined;
    this.#roomLimits = context.roomRates && new RoomLimits(context.roomRates, context.clock);
    this.#authorizer = authorizer;
    this.#queue = authorizer && new CommandQueue((command) => this.#run(command), client);
  }

  /** Decides whether the client may join a room. */
  permission(room: string): NowOrLater<Decision> {
    if (isReservedRoom(room) && !this.#context.isInternal) return RESERVED;
    return this.#authorizer?.join?.(this.#client, room) ?? ALLOWED;
  }

  /**
   * Joins the client's first rooms.
   *
   * @param start where they start. Set if the client may join them by its `permission`.
   *
   * @returns why it must be closed, or undefined.
   */
  open(rooms: readonly string[], start?: RoomStart): Close | undefined {
    if (start) return this.#registerAll(rooms, start);
    const decisions = allOf(rooms.map((room) => this.permission(room)));
    return this.#await(decisions, (decisions) => {
      for (const [i, room] of rooms.entries()) {
        const close = this.#register({ room, history: 0 }, decisions[i] as Decision);
        if (close) return close;
      }
      return undefined;
    });
  }

  #registerAll(rooms: readonly string[], start: RoomStart): Close | undefined {
    for (const room of rooms) {
      const close = this.#register({ room, ...start }, ALLOWED);
      if (close) return close;
    }
    return undefined;
  }

  /**
   * Reads a frame. The bytes are valid only during the call.
   *
   * @returns why the client must be closed, or undefined.
   */
  message(data: Uint8Array, binary: boolean): Close | undefined {
    if (data.byteLength > this.#wire.maxMessageSize) return closes.messageTooBig;
    for (const command of this.#wire.decode(data, binary)) {
      const close = this.#queue === undefined ? this.#run(command) : this.#enqueue(this.#queue, command);
      if (close) return close;
    }
    return undefined;
  }

  /**
   * Ends the client's membership of a room.
   *
   * @returns `silently` where its wire cannot notify it: it must be closed.
   */
  removeFrom(room: string): 'left' | 'silently' | 'absent' {
    const { hub } = this.#context;
    if (this.#rooms === undefined) {
      return hub.memberships(this.#client).some((member) => member.room.name === room) ? 'silently' : 'absent';
    }
    if (!this.#rooms.delete(room)) return 'absent';
    hub.remove(this.#client, room);
    this.#client.left(room);
    return 'left';
  }

  #enqueue(queue: CommandQueue, command: Command): Close | undefined {
    return queue.full ? this.#refuse('busy', closes.busy, subjectOf(command)) : queue.add(command);
  }

  #await<T>(answer: NowOrLater<T>, next: (answer: T) => Close | undefined): Close | undefined {
    return this.#queue === undefined ? next(answer as T) : this.#queue.await(answer, next);
  }

  #run(command: Command): Close | undefined {
    switch (command.kind) {
      case 'broadcast':
        return this.#publish(command.room === '' ? { ...command, room: this.#room } : command);
      case 'change-room':
      case 'ignored':
        if (!this.#takeMessage()) return this.#refuse('rate_limited', closes.rateExceeded, subjectOf(command));
        return command.kind === 'change-room' ? this.#change(command.room) : undefined;
      case 'violation':
        return command.close;
      case 'refusal':
        return this.#refuse(command.code, closes.protocolError, command, command.message);
      default:
        if (!this.#takeRequest()) {
          return this.#refuse('rate_limited', closes.rateExceeded, subjectOf(command));
        }
        return this.#request(command);
    }
  }

  #takeMessage(): boolean {
    const { publishRate: rate, clock, sharedLimits } = this.#context;
    if (rate === 'off') return true;
    this.#messages ??= new TokenBucket(rate, clock);
    return this.#messages.take() && sharedLimits?.take(this.#client) !== false;
  }

  /** Takes a token for a message to a room: one of the client's, and one of the room's. */
  #takeFor(room: string): boolean {
    return this.#takeMessage() && this.#roomLimits?.take(room, this.#client) !== false;
  }

  #takeRequest(): boolean {
    const { publishRate: rate, clock } = this.#context;
    if (rate === 'off' || this.#rooms === undefined) return true;
    const [perSecond, burst] = [rate.perSecond * REQUESTS_PER_MESSAGE, rate.burst * REQUESTS_PER_MESSAGE];
    this.#requests ??= new TokenBucket({ perSecond, burst }, clock);
    return this.#requests.take();
  }

  #publish(publication: Publication): Close | undefined {
    const authorizer = this.#authorizer;
    if (this.#rooms?.has(publication.room) === false) {
      return this.#refuse('not_member', closes.protocolError, publication);
    }
    if (!this.#takeFor(publication.room)) return this.#refuse('rate_limited', closes.rateExceeded, publication);
    if (authorizer?.send === undefined) return this.#broadcast(publication);
    return this.#await(authorizer.send(this.#client, publication), (decision) =>
      decision.kind === 'allowed' ? this.#broadcast(publication) : this.#deny(decision, publication),
    );
  }

  #broadcast(publication: Publication): Close | undefined {
    const { room, id, data, json, bytes, extra } = publication;
    const { id: sender, user: from } = this.#client;
    const draft = { room, from, sender, id, data, json, bytes, by: this.#client };
    const posted = this.#context.hub.broadcast(extra === undefined ? draft : { ...draft, extra: this.#extra(extra) });
    return this.#posted(posted, publication);
  }

  #extra(extra: NonNullable<Publication['extra']>): DraftExtra {
    return extra.kind === 'change' ? { ...extra, byUser: this.#client.isVerified } : extra;
  }

  #request(command: Request): Close | undefined {
    const { hub } = this.#context;
    const client = this.#client;
    if (command.kind === 'ping') {
      client.reply({ t: 'pong' });
      return this.#posted(true, {});
    }
    if (command.kind === 'auth') {
      client.refresh(command.token);
      return undefined;
    }
    if (command.kind === 'report') return this.#report(command.report);
    const { room } = command;
    if (command.kind === 'join') return this.#join(command);
    if (this.#rooms?.has(room) === false) return this.#refuse('not_member', closes.protocolError, subjectOf(command));
    switch (command.kind) {
      case 'leave': {
        const posted = hub.unregister(client, room);
        if (posted) this.#left(room);
        return this.#posted(posted, { room });
      }
      case 'signal':
        return this.#signal(room, command.data);
      case 'history': {
        const { kind: _, ...request } = command;
        return this.#posted(hub.history({ subscriber: client, ...NO_PLACE, ...request }), subjectOf(command));
      }
      case 'ack':
        return this.#posted(hub.acknowledge(client, room, command.seq), { room });
    }
  }

  /** A server that keeps no reports does not know the message. */
  #report(report: Report): Close | undefined {
    const { lives } = this.#context;
    if (lives === undefined) return this.#refuse('unknown_type', closes.protocolError, {});
    if (!lives.reported(this.#client, report)) return this.#refuse('forbidden', closes.forbidden, {});
    return this.#posted(true, {});
  }

  #signal(room: string, data: Signal['data']): Close | undefined {
    if (!this.#takeFor(room)) return this.#refuse('rate_limited', closes.rateExceeded, { room });
    return this.#await(this.#authorizer?.signal?.(this.#client, room) ?? ALLOWED, (decision) => {
      if (decision.kind === 'denied') return this.#deny(decision, { room });
      const { user: from } = this.#client;
      const signal = { t: 'signal', room, from, data } as const;
      return this.#posted(this.#context.hub.signal({ room, from, signal, by: this.#client }), { room });
    });
  }

  #join(command: Join): Close | undefined {
    const { room } = command;
    if (this.#rooms?.has(room) === false && this.#rooms.size >= MAX_ROOMS) {
      return this.#refuse('too_many_rooms', closes.protocolError, { room });
    }
    return this.#await(this.permission(room), (decision) => this.#register(command, decision));
  }

  #change(room: string): Close | undefined {
    if (room === this.#room) return undefined;
    const { hub } = this.#context;
    return this.#await(this.permission(room), (decision) => {
      const allowed = decision.kind === 'allowed';
      if (allowed && !hub.unregister(this.#client, this.#room)) return this.#refuse('busy', closes.busy, {});
      if (allowed) this.#left(this.#room);
      return this.#register({ room, history: 0 }, decision);
    });
  }

  #register({ room, since, history, changes }: Omit<Join, 'kind'>, decision: Decision): Close | undefined {
    if (decision.kind === 'denied') return this.#deny(decision, { room });
    const posted = this.#context.hub.register(this.#client, room, since, history, changes);
    if (posted) this.#entered(room);
    this.#room = room;
    return this.#posted(posted, { room });
  }

  #entered(room: string): void {
    this.#rooms?.add(room);
    this.#roomLimits?.join(room);
  }

  #left(room: string): void {
    this.#client.left(room);
    this.#rooms?.delete(room);
    this.#roomLimits?.leave(room);
  }

  #posted(posted: boolean, subject: Subject): Close | undefined {
    if (!posted) return this.#refuse('busy', closes.busy, subject);
    this.#refusals = 0;
    return undefined;
  }

  #deny(denied: Denied, subject: Subject): Close | undefined {
    return this.#refuse(denied.code, closeFor(denied), subject, denied.message);
  }

  /**
   * @param close for a client whose wire has no errors.
   *
   * @returns why the client must be closed, or undefined.
   */
  #refuse(
    code: ErrorCode,
    close: Close,
    { field, id, room }: Subject,
    message: string = errors[code].message,
  ): Close | undefined {
    if (!this.#wire.notices.has('error')) return close;
    if (++this.#refusals > MAX_REFUSALS) return code === 'rate_limited' ? closes.rateExceeded : closes.protocolError;
    const subject = { ...(field && { field }), ...(id && { id }), ...(room && { room }) };
    this.#client.reply({ t: 'error', code, ...errors[code], message, ...subject });
    return this.#wire.endsOnError ? close : undefined;
  }
}

/** The subject of an error. */
interface Subject {
  readonly field?: string;
  readonly id?: string;
  readonly room?: string;
}

function subjectOf(command: Command): Subject {
  const { room, id } = command as Subject;
  return { ...(room !== undefined && { room }), ...(id !== undefined && { id }) };
}
