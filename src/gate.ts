import type { Sessions } from './auth/sessions.ts';
import { Client, type ClientContext } from './client/client.ts';
import { MAX_ROOMS } from './client/read-pump.ts';
import type { Settings } from './config/settings.ts';
import { admit, offers } from './http/admission.ts';
import { closes } from './protocol/close-codes.ts';
import { type Limits, SUBPROTOCOL } from './protocol/v1.ts';
import type { HttpRequest, HttpResponse, SocketListener } from './transport/port.ts';
import { gorilla } from './wire/gorilla.ts';
import { fields, v1 } from './wire/v1.ts';
import type { Wire, WireLimits } from './wire/wire.ts';

/** Where connections come in: it finds out which wire each speaks and who it is, and makes its client. */
export class Gate {
  readonly #wire: Settings['wire'];
  readonly #sessions: Sessions;
  readonly #context: ClientContext;
  readonly #gorilla: Wire;
  readonly #v1: Wire;
  /** The client that speaks for each session. */
  readonly #bySession = new Map<string, Client>();
  #connections = 0;

  /** @param limits of every wire, where they are not its own. */
  constructor(wire: Settings['wire'], sessions: Sessions, context: ClientContext, limits: Partial<WireLimits> = {}) {
    this.#gorilla = gorilla(limits);
    this.#v1 = v1(limits);
    this.#wire = wire;
    this.#sessions = sessions;
    this.#context = context;
    context.hub.events.on('disconnected', ({ client }) => {
      if (this.#bySession.get(client)?.state === 'closed') this.#bySession.delete(client);
    });
  }

  /** Takes a handshake in, or refuses it. */
  enter(request: HttpRequest): { readonly listener: SocketListener; readonly protocol: string } | HttpResponse {
    const offered = offers(request, SUBPROTOCOL);
    if (this.#wire === 'gorilla' || (this.#wire === 'auto' && !offered)) {
      return { listener: new Client(`c${++this.#connections}`, this.#gorilla, this.#context), protocol: '' };
    }
    const admission = admit(request, this.#sessions);
    if ('status' in admission) return admission;
    const { session, rooms } = admission;
    const { id, user, resume } = session;
    const heartbeat = this.#v1.pingPeriod / 1000;
    const welcome = { t: 'welcome', session: id, user, resume, limits: this.#limits(), heartbeat } as const;
    const client = new Client(id, this.#v1, this.#context, { user, rooms, welcome });
    // Its older connection may be dead without knowing: it must not hear, nor send, for the session any more.
    this.#bySession.get(id)?.end(closes.replaced);
    this.#bySession.set(id, client);
    return { listener: client, protocol: offered ? SUBPROTOCOL : '' };
  }

  #limits(): Limits {
    const { publishRate } = this.#context;
    const { maxMessageSize: message } = this.#v1;
    const { room: roomName, history } = fields;
    return { message, roomName, rooms: MAX_ROOMS, history, ...(publishRate && { publishRate }) };
  }
}
