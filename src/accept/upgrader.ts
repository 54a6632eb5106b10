import {
  type Authenticator,
  bearerProtocol,
  credentialsOf,
  type Principal,
  type Unknown,
} from '../auth/authenticator.ts';
import { allows } from '../auth/grants.ts';
import type { Sessions } from '../auth/sessions.ts';
import { ALLOWED, type Authorizer } from '../client/authorizer.ts';
import { Client, type ClientContext } from '../client/client.ts';
import type { Identity } from '../client/identity.ts';
import type { Origins } from '../http/origin.ts';
import { type Admission, plainText, tooMany, unauthorized } from '../http/responses.ts';
import type { Scheduler } from '../hub/time.ts';
import { closes } from '../protocol/close-codes.ts';
import { type Limits, MAX_ROOMS, SUBPROTOCOL } from '../protocol/v1.ts';
import type { Application, HttpRequest, HttpResponse, SocketListener, Upgrade } from '../transport/transport.ts';
import { fields } from '../wire/v1.ts';
import { isRoom, isUser, type Wire } from '../wire/wire.ts';
import type { ConnectionLimiter } from './connection-limits.ts';
import { checkHandshake } from './handshake.ts';
import type { HookRunner } from './hooks.ts';
import { PendingClient } from './pending-client.ts';
import { offers, readSessionQuery } from './query.ts';

/** What the gate needs to know. */
export interface UpgraderOptions {
  readonly sessions: Sessions;
  readonly authority: Authenticator;
  readonly context: ClientContext;
  readonly scheduler: Scheduler;
  /** Whose pages may connect. */
  readonly origins: Origins;
  readonly crowd: ConnectionLimiter;
  /** Where a request comes from: behind a proxy that is not what its connection says. */
  readonly addressOf: (request: HttpRequest) => string;
  /** Decides on handshakes. */
  readonly hooked?: HookRunner;
}

/** What is read of a handshake before anyone is asked who it is. */
interface Asked {
  readonly wire: Wire;
  readonly query: URLSearchParams;
  /** The subprotocol to answer with. */
  readonly protocol: string;
  readonly address: string;
  /** Whether a page asks. */
  readonly browser: boolean;
  /** Asks the program that runs the server. */
  readonly hook: () => Admission | Promise<Admission>;
}

/** Where connections come in: it finds out who each is, and makes its client. */
export class Upgrader {
  readonly #options: UpgraderOptions;
  /** The client that speaks for each session. */
  readonly #bySession = new Map<string, Client>();
  /** Connections that are not signed in yet. */
  readonly #doorsteps = new Set<PendingClient>();
  #connections = 0;

  constructor(options: UpgraderOptions) {
    this.#options = options;
    const { crowd, context } = options;
    context.hub.events.on('connected', ({ remoteAddress }) => crowd.enter(remoteAddress));
    context.hub.events.on('disconnected', ({ client, remoteAddress }) => {
      crowd.leave(remoteAddress);
      if (this.#bySession.get(client)?.state === 'closed') this.#bySession.delete(client);
    });
  }

  /** Takes a handshake in, or refuses it. The request is read before this returns. */
  enter(request: HttpRequest, wire: Wire): ReturnType<Application['upgrade']> {
    const { authority, hooked, origins, crowd, addressOf } = this.#options;
    const address = addressOf(request);
    const crowded = crowd.refusal(address);
    if (crowded) return crowded;
    const refused = checkHandshake(request, wire.library, origins);
    const protocol = hasSessions(wire) && offers(request, SUBPROTOCOL) ? SUBPROTOCOL : (bearerProtocol(request) ?? '');
    const hook = hooked?.reads(request, address) ?? (() => ({ user: undefined }));
    const browser = request.header('origin') !== '';
    const asked = { wire, query: new URLSearchParams(request.query), protocol, address, browser, hook };
    return after(authority.identify(credentialsOf(request, address)), (known) => {
      if (known === 'nobody' && hasSessions(wire)) return refused ?? this.#unknown(asked);
      return notKnown(known, wire) ?? refused ?? this.#known(known as Principal, asked);
    });
  }

  /** What a request gets that asks for no WebSocket where clients connect. */
  async noHandshake(request: HttpRequest, wire: Wire): Promise<HttpResponse> {
    const refused = checkHandshake(request, wire.library, this.#options.origins) ?? plainText(400, 'Bad Request');
    if (!wire.ticketed) return refused;
    return (
      notKnown(
        await this.#options.authority.identify(credentialsOf(request, this.#options.addressOf(request))),
        wire,
      ) ?? refused
    );
  }

  /** Sends away who has not signed in. */
  close(): void {
    for (const doorstep of this.#doorsteps) doorstep.end(closes.goingAway);
  }

  /** Of the native protocol: it may go on with its session, or show its token once it is connected. */
  async #unknown(asked: Asked): Promise<Upgrade | HttpResponse> {
    const { authority, sessions, scheduler, crowd } = this.#options;
    const resumed = sessions.resume(asked.query.get('resume') ?? '');
    if (resumed && (await authority.resumes(resumed.user))) return this.#known({ user: resumed.user }, asked);
    if (authority.later === 'none' || (authority.later === 'browsers' && !asked.browser)) return unauthorized();
    const enter = async (token: string) => {
      const { address } = asked;
      const known = await authority.identify({ token, ticket: undefined, basic: undefined, address });
      const entered = typeof known === 'string' ? undefined : await this.#known(known, asked);
      return entered && 'listener' in entered ? (entered.listener as Client) : undefined;
    };
    const doorstep = new PendingClient(asked.wire, enter, scheduler, () => {
      if (this.#doorsteps.delete(doorstep)) crowd.leave(asked.address);
    });
    this.#doorsteps.add(doorstep);
    crowd.enter(asked.address);
    return { listener: doorstep, protocol: asked.protocol };
  }

  #known(known: Principal, asked: Asked): Upgrade | HttpResponse | Promise<Upgrade | HttpResponse> {
    return after(asked.hook(), (entry) => {
      if ('status' in entry) return plainText(entry.status, entry.why);
      const user = entry.user ?? known.user;
      const made = hasSessions(asked.wire) ? this.#session(user, known, asked) : this.#connection(user, known, asked);
      if ('status' in made) return made;
      return (known.confirm?.() ?? true) ? { listener: made.make(), protocol: asked.protocol } : unauthorized();
    });
  }

  /** A client of a wire that knows no sessions: a connection with a number. */
  #connection(known: string | undefined, shown: Principal, { wire, query, address }: Asked): Made | HttpResponse {
    const asked = wire.publishing ? query : undefined;
    const room = asked?.get('room_id') ?? undefined;
    if (room !== undefined && !isRoom(room)) return plainText(400, 'Bad room');
    const named = asked?.get('user_id') ?? undefined;
    if (named !== undefined && !isUser(named)) return plainText(400, 'Bad user');
    const user = known ?? named ?? wire.guest?.();
    const identity = { address, ...(user !== undefined && { user }), ...(room !== undefined && { rooms: [room] }) };
    const { context } = this.#options;
    const make = () => new Client(`c${++this.#connections}`, wire, context, { ...identity, ...this.#bounds(shown) });
    return { make };
  }

  #session(known: string | undefined, shown: Principal, { wire, query, address }: Asked): Made | HttpResponse {
    const { sessions, context } = this.#options;
    const admission = readSessionQuery(query, sessions, known);
    if ('status' in admission) return admission;
    const { session, rooms } = admission;
    const { id, user, resume } = session;
    const term = shown.expires === undefined ? {} : { expiresIn: Math.floor(this.#left(shown.expires) / 1000) };
    const heartbeat = wire.pingPeriod / 1000;
    const welcome = {
      t: 'welcome',
      session: id,
      user,
      resume,
      limits: this.#limits(wire),
      heartbeat,
      ...term,
    } as const;
    const bounds = this.#bounds(shown);
    const make = () => {
      // Its older connection may be dead without knowing: it must not hear, nor send, for the session any more.
      const onOpen = () => {
        this.#bySession.get(id)?.end(closes.replaced);
        this.#bySession.set(id, client);
      };
      const client: Client = new Client(id, wire, context, { user, address, rooms, welcome, onOpen, ...bounds });
      return client;
    };
    return { make };
  }

  /** What it may do, and for how long. */
  #bounds({ user, grants, expires }: Principal): Pick<Identity, 'authorizer' | 'term'> {
    const { authority, context } = this.#options;
    if (expires === undefined) return {};
    const until = (at: number) => context.clock.now() + this.#left(at);
    let inForce = grants;
    const refresh = async (token: string) => {
      const known = await authority.identify({ token, ticket: undefined, basic: undefined, address: '' });
      if (typeof known === 'string' || known.user !== user || known.expires === undefined) return undefined;
      inForce = known.grants;
      return until(known.expires);
    };
    return { authorizer: authorizerOf(() => inForce), term: { until: until(expires), refresh } };
  }

  /** Milliseconds until a time. */
  #left(at: number): number {
    return at - this.#options.context.clock.date();
  }

  #limits({ maxMessageSize: message }: Wire): Limits {
    const { publishRate } = this.#options.context;
    const { room: roomName, history } = fields;
    return { message, roomName, rooms: MAX_ROOMS, history, ...(publishRate !== 'off' && { publishRate }) };
  }
}

/** A client that is not made before it is sure to be taken in. */
interface Made {
  make(): SocketListener;
}

/** Whether a wire can tell its clients who they are, and how to be so again. */
function hasSessions(wire: Wire): boolean {
  return wire.notices.has('welcome');
}

/** @returns the refusal for who is not known, or is nobody where one must be somebody. */
function notKnown(known: Principal | Unknown, wire: Wire): HttpResponse | undefined {
  if (known === 'limited') return tooMany();
  return typeof known === 'string' || (wire.ticketed && known.user === undefined) ? unauthorized() : undefined;
}

/** @param grants those in force when someone asks; undefined: everything. */
function authorizerOf(grants: () => Principal['grants']): Authorizer {
  const verdict = (action: 'join' | 'send', room: string) => {
    const inForce = grants();
    const allowed = inForce === undefined || allows(inForce, action, room);
    return allowed ? ALLOWED : ({ kind: 'denied', code: 'forbidden' } as const);
  };
  return { join: (_, room) => verdict('join', room), send: (_, { room }) => verdict('send', room) };
}

/** Goes on with an answer, now or when it is there. */
function after<T, R>(answer: T | Promise<T>, goOn: (answer: T) => R | Promise<R>): R | Promise<R> {
  return answer instanceof Promise ? answer.then(goOn) : goOn(answer);
}
