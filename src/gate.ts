import type { Sessions } from './auth/sessions.ts';
import type { Tickets } from './auth/tickets.ts';
import { Client, type ClientContext } from './client/client.ts';
import { MAX_ROOMS } from './client/read-pump.ts';
import type { Entry, Hooked } from './hooks.ts';
import { type Admission, admit, offers } from './http/admission.ts';
import { plainText } from './http/answers.ts';
import { checkHandshake } from './http/handshake.ts';
import { closes } from './protocol/close-codes.ts';
import { type Limits, SUBPROTOCOL } from './protocol/v1.ts';
import type { Application, HttpRequest, HttpResponse, Upgrade } from './transport/port.ts';
import { fields } from './wire/v1.ts';
import { isRoom, type Wire } from './wire/wire.ts';

/** What the gate needs to know. */
export interface GateOptions {
  readonly sessions: Sessions;
  readonly tickets: Tickets;
  readonly context: ClientContext;
  /** Decides on handshakes. */
  readonly hooked?: Hooked;
}

/** What is read of a handshake before anyone is asked who it is. */
interface Asked {
  readonly wire: Wire;
  readonly query: string;
  /** Whether it offers the native protocol. */
  readonly offered: boolean;
  readonly ticket: string | undefined;
}

/** Where connections come in: it finds out who each is, and makes its client. */
export class Gate {
  readonly #options: GateOptions;
  /** The client that speaks for each session. */
  readonly #bySession = new Map<string, Client>();
  #connections = 0;

  constructor(options: GateOptions) {
    this.#options = options;
    options.context.hub.events.on('disconnected', ({ client }) => {
      if (this.#bySession.get(client)?.state === 'closed') this.#bySession.delete(client);
    });
  }

  /** Takes a handshake in, or refuses it. The request is read before this returns. */
  enter(request: HttpRequest, wire: Wire): ReturnType<Application['upgrade']> {
    const { hooked, tickets } = this.#options;
    const { query } = request;
    const ticket = wire.ticketed ? (new URLSearchParams(query).get('otp') ?? '') : undefined;
    if (ticket !== undefined && tickets.holder(ticket) === undefined) return UNAUTHORIZED;
    const refused = checkHandshake(request, wire.library);
    if (refused) return refused;
    const asked = { wire, query, offered: offers(request, SUBPROTOCOL), ticket };
    const entry = hooked?.enter(request) ?? { user: undefined };
    return entry instanceof Promise ? entry.then((known) => this.#admit(known, asked)) : this.#admit(entry, asked);
  }

  /** What a request gets that asks for no WebSocket where clients connect. */
  noHandshake(request: HttpRequest, wire: Wire): HttpResponse {
    const ticket = new URLSearchParams(request.query).get('otp') ?? '';
    if (wire.ticketed && this.#options.tickets.holder(ticket) === undefined) return UNAUTHORIZED;
    return checkHandshake(request, wire.library) ?? plainText(400, 'Bad Request');
  }

  #admit(entry: Entry, asked: Asked): Upgrade | HttpResponse {
    const { sessions, tickets } = this.#options;
    const { wire, query, offered, ticket } = asked;
    if ('status' in entry) return plainText(entry.status, entry.why);
    if (wire.name !== 'v1') {
      const user = entry.user ?? (ticket === undefined ? undefined : tickets.holder(ticket));
      if (ticket !== undefined && !tickets.spend(ticket)) return UNAUTHORIZED;
      return this.#connection(wire, query, user);
    }
    const admission = admit(query, sessions, entry.user);
    if ('status' in admission) return admission;
    return { listener: this.#clientOf(wire, admission), protocol: offered ? SUBPROTOCOL : '' };
  }

  /** A client of a wire that knows no sessions: a connection with a number. */
  #connection(wire: Wire, query: string, known: string | undefined): Upgrade | HttpResponse {
    const asked = wire.publishing ? new URLSearchParams(query) : undefined;
    const room = asked?.get('room_id') ?? undefined;
    if (room !== undefined && !isRoom(room)) return plainText(400, 'Bad room');
    const user = known ?? (asked?.get('user_id') || wire.guest?.());
    const identity = { ...(user !== undefined && { user }), ...(room !== undefined && { rooms: [room] }) };
    const client = new Client(`c${++this.#connections}`, wire, this.#options.context, identity);
    return { listener: client, protocol: '' };
  }

  #clientOf(wire: Wire, { session, rooms }: Admission): Client {
    const { id, user, resume } = session;
    const heartbeat = wire.pingPeriod / 1000;
    const welcome = { t: 'welcome', session: id, user, resume, limits: this.#limits(wire), heartbeat } as const;
    const client = new Client(id, wire, this.#options.context, { user, rooms, welcome });
    // Its older connection may be dead without knowing: it must not hear, nor send, for the session any more.
    this.#bySession.get(id)?.end(closes.replaced);
    this.#bySession.set(id, client);
    return client;
  }

  #limits({ maxMessageSize: message }: Wire): Limits {
    const { publishRate } = this.#options.context;
    const { room: roomName, history } = fields;
    return { message, roomName, rooms: MAX_ROOMS, history, ...(publishRate && { publishRate }) };
  }
}

const UNAUTHORIZED: HttpResponse = { status: 401, headers: {}, body: '' };
