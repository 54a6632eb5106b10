import type { Sessions } from './auth/sessions.ts';
import { Client, type ClientContext } from './client/client.ts';
import { MAX_ROOMS } from './client/read-pump.ts';
import type { Settings } from './config/settings.ts';
import type { Entry, Hooked } from './hooks.ts';
import { type Admission, admit, offers } from './http/admission.ts';
import { plainText } from './http/answers.ts';
import { closes } from './protocol/close-codes.ts';
import { type Limits, SUBPROTOCOL } from './protocol/v1.ts';
import type { Application, HttpRequest, HttpResponse, Upgrade } from './transport/port.ts';
import { gorilla } from './wire/gorilla.ts';
import { fields, v1 } from './wire/v1.ts';
import type { Wire, WireLimits } from './wire/wire.ts';

/** Where connections come in: it finds out which wire each speaks and who it is, and makes its client. */
export class Gate {
  readonly #wire: Settings['wire'];
  readonly #sessions: Sessions;
  readonly #context: ClientContext;
  readonly #hooked: Hooked | undefined;
  readonly #gorilla: Wire;
  readonly #v1: Wire;
  /** The client that speaks for each session. */
  readonly #bySession = new Map<string, Client>();
  #connections = 0;

  /** @param hooked decides on handshakes. @param limits of every wire, where they are not its own. */
  constructor(
    wire: Settings['wire'],
    sessions: Sessions,
    context: ClientContext,
    hooked?: Hooked,
    limits: Partial<WireLimits> = {},
  ) {
    this.#gorilla = gorilla(limits);
    this.#v1 = v1(limits);
    this.#wire = wire;
    this.#sessions = sessions;
    this.#context = context;
    this.#hooked = hooked;
    context.hub.events.on('disconnected', ({ client }) => {
      if (this.#bySession.get(client)?.state === 'closed') this.#bySession.delete(client);
    });
  }

  /** Takes a handshake in, or refuses it. The request is read before this returns. */
  enter(request: HttpRequest): ReturnType<Application['upgrade']> {
    const offered = offers(request, SUBPROTOCOL);
    const { query } = request;
    const entry = this.#hooked?.enter(request) ?? { user: undefined };
    if (entry instanceof Promise) return entry.then((known) => this.#admit(known, offered, query));
    return this.#admit(entry, offered, query);
  }

  #admit(entry: Entry, offered: boolean, query: string): Upgrade | HttpResponse {
    if ('status' in entry) return plainText(entry.status, entry.why);
    const { user } = entry;
    if (this.#wire === 'gorilla' || (this.#wire === 'auto' && !offered)) {
      const identity = user === undefined ? {} : { user };
      return { listener: new Client(`c${++this.#connections}`, this.#gorilla, this.#context, identity), protocol: '' };
    }
    const admission = admit(query, this.#sessions, user);
    if ('status' in admission) return admission;
    return { listener: this.#clientOf(admission), protocol: offered ? SUBPROTOCOL : '' };
  }

  #clientOf({ session, rooms }: Admission): Client {
    const { id, user, resume } = session;
    const heartbeat = this.#v1.pingPeriod / 1000;
    const welcome = { t: 'welcome', session: id, user, resume, limits: this.#limits(), heartbeat } as const;
    const client = new Client(id, this.#v1, this.#context, { user, rooms, welcome });
    // Its older connection may be dead without knowing: it must not hear, nor send, for the session any more.
    this.#bySession.get(id)?.end(closes.replaced);
    this.#bySession.set(id, client);
    return client;
  }

  #limits(): Limits {
    const { publishRate } = this.#context;
    const { maxMessageSize: message } = this.#v1;
    const { room: roomName, history } = fields;
    return { message, roomName, rooms: MAX_ROOMS, history, ...(publishRate && { publishRate }) };
  }
}
