import {
  type Authenticator,
  bearerProtocol,
  credentialsOf,
  type Principal,
  tokenCredentials,
} from '../auth/authenticator.ts';
import { allows } from '../auth/grants.ts';
import type { Sessions } from '../auth/sessions.ts';
import { ALLOWED, type Authorizer, type Decision } from '../client/authorizer.ts';
import { Client, type ClientContext } from '../client/client.ts';
import type { Identity } from '../client/identity.ts';
import type { Origins } from '../http/origin.ts';
import type { Admission } from '../http/publish.ts';
import { authenticationFailed, plainText, unauthorized } from '../http/responses.ts';
import type { Scheduler } from '../hub/time.ts';
import { closes } from '../protocol/close-codes.ts';
import { andThen, type NowOrLater } from '../protocol/now-or-later.ts';
import { type Limits, MAX_ROOMS, SUBPROTOCOL } from '../protocol/v1.ts';
import type { HttpRequest, HttpResponse, Upgrade } from '../transport/transport.ts';
import { fields } from '../wire/v1.ts';
import { isRoom, isUser, type Wire } from '../wire/wire.ts';
import type { ConnectionLimiter } from './connection-limits.ts';
import { checkHandshake } from './handshake.ts';
import type { HookRunner } from './hooks.ts';
import { PendingClient } from './pending-client.ts';
import { offers, readSessionQuery } from './query.ts';

/** How the clients of a listener authenticate, and what that gives them. */
export interface Access {
  readonly authenticator: Authenticator;
  /** The sessions that may resume here. */
  readonly sessions: Sessions;
  readonly context: ClientContext;
}

export interface UpgraderOptions {
  readonly hub: ClientContext['hub'];
  readonly scheduler: Scheduler;
  /** Origins whose pages may connect, besides this host's own. */
  readonly origins: Origins;
  readonly limiter: ConnectionLimiter;
  /** Returns the client's address, which behind a proxy is not the connection's. */
  readonly addressOf: (request: HttpRequest) => string;
  /** Calls the connect hook. @default every handshake is admitted */
  readonly hookRunner?: HookRunner;
}

/** The parts of a handshake that are needed after the call in which the request is valid. */
interface HandshakeRequest {
  readonly access: Access;
  readonly wire: Wire;
  readonly query: URLSearchParams;
  /** The subprotocol to select; empty for none. */
  readonly protocol: string;
  readonly address: string;
  /** Whether it comes from a page. */
  readonly browser: boolean;
  /** Calls the connect hook. */
  readonly connect: () => NowOrLater<Admission>;
}

/** The result of a handshake. */
type Acceptance =
  | { readonly kind: 'accepted'; readonly client: Client }
  | { readonly kind: 'rejected'; readonly response: HttpResponse };

/** A valid handshake creates its client last, when nothing else can reject it. */
type Preparation =
  | { readonly kind: 'valid'; readonly create: () => Client }
  | { readonly kind: 'rejected'; readonly response: HttpResponse };

/** Upgrader authenticates handshakes and creates their clients. */
export class Upgrader {
  readonly #options: UpgraderOptions;
  /** The client that holds each session. */
  readonly #bySession = new Map<string, Client>();
  readonly #pending = new Set<PendingClient>();
  #connections = 0;

  constructor(options: UpgraderOptions) {
    this.#options = options;
    const { limiter, hub } = options;
    hub.events.on('connected', ({ remoteAddress }) => limiter.add(remoteAddress));
    hub.events.on('disconnected', ({ client, remoteAddress }) => {
      limiter.remove(remoteAddress);
      if (this.#bySession.get(client)?.state === 'closed') this.#bySession.delete(client);
    });
  }

  /** Accepts or rejects a handshake, which it reads before it returns. */
  upgrade(request: HttpRequest, wire: Wire, access: Access): NowOrLater<Upgrade | HttpResponse> {
    const { origins, limiter, addressOf } = this.#options;
    const { authenticator } = access;
    const address = addressOf(request);
    const overLimit = limiter.check(address);
    if (overLimit) return overLimit;
    const rejection = checkHandshake(request, wire.library, origins);
    const handshake = this.#read(request, wire, access, address);
    return andThen(authenticator.authenticate(credentialsOf(request, address)), (authentication) => {
      // A failed authentication takes precedence over an invalid handshake.
      if (authentication.kind === 'missing' && hasSessions(wire)) return rejection ?? this.#acceptLater(handshake);
      if (authentication.kind !== 'authenticated') return authenticationFailed(authentication);
      const { principal } = authentication;
      if (lacksUser(principal, wire)) return unauthorized();
      return rejection ?? andThen(this.#accept(principal, handshake), (acceptance) => toUpgrade(acceptance, handshake));
    });
  }

  /** Rejects a request to a wire's path that is not a handshake. */
  async rejectPlain(request: HttpRequest, wire: Wire, { authenticator }: Access): Promise<HttpResponse> {
    const { origins, addressOf } = this.#options;
    const rejection = checkHandshake(request, wire.library, origins) ?? plainText(400, 'Bad Request');
    if (!wire.ticketed) return rejection;
    const authentication = await authenticator.authenticate(credentialsOf(request, addressOf(request)));
    if (authentication.kind !== 'authenticated') return authenticationFailed(authentication);
    return lacksUser(authentication.principal, wire) ? unauthorized() : rejection;
  }

  /** Closes the connections that have not authenticated. */
  close(): void {
    for (const pending of this.#pending) pending.end(closes.goingAway);
  }

  #read(request: HttpRequest, wire: Wire, access: Access, address: string): HandshakeRequest {
    const { hookRunner } = this.#options;
    const native = hasSessions(wire) && offers(request, SUBPROTOCOL);
    return {
      access,
      wire,
      query: new URLSearchParams(request.query),
      protocol: native ? SUBPROTOCOL : (bearerProtocol(request) ?? ''),
      address,
      browser: request.header('origin') !== '',
      connect: hookRunner?.prepareConnect(request, address) ?? (() => ({ kind: 'admitted' })),
    };
  }

  /** Resumes the session of a handshake without credentials, or lets it authenticate once open. */
  async #acceptLater(handshake: HandshakeRequest): Promise<Upgrade | HttpResponse> {
    const { authenticator, sessions } = handshake.access;
    const resumed = sessions.resume(handshake.query.get('resume') ?? '');
    if (resumed && (await authenticator.mayResume(resumed.user))) {
      return toUpgrade(await this.#accept({ user: resumed.user }, handshake), handshake);
    }
    const { lateAuthentication } = authenticator;
    const allowed = lateAuthentication === 'all' || (lateAuthentication === 'browsers' && handshake.browser);
    return allowed ? { listener: this.#createPending(handshake), protocol: handshake.protocol } : unauthorized();
  }

  #createPending(handshake: HandshakeRequest): PendingClient {
    const { scheduler, limiter } = this.#options;
    const { wire, address } = handshake;
    const { authenticator } = handshake.access;
    const authenticate = async (token: string) => {
      const authentication = await authenticator.authenticate(tokenCredentials(token, address));
      if (authentication.kind !== 'authenticated') return undefined;
      const acceptance = await this.#accept(authentication.principal, handshake);
      return acceptance.kind === 'accepted' ? acceptance.client : undefined;
    };
    const pending = new PendingClient(wire, authenticate, scheduler, () => {
      if (this.#pending.delete(pending)) limiter.remove(address);
    });
    this.#pending.add(pending);
    limiter.add(address);
    return pending;
  }

  /** Asks the connect hook, then creates the client. */
  #accept(principal: Principal, handshake: HandshakeRequest): NowOrLater<Acceptance> {
    return andThen(handshake.connect(), (admission): Acceptance => {
      if (admission.kind === 'rejected') return rejected(plainText(admission.status, admission.reason));
      const user = admission.user ?? principal.user;
      const preparation = hasSessions(handshake.wire)
        ? this.#prepareSession(user, principal, handshake)
        : this.#prepareConnection(user, principal, handshake);
      if (preparation.kind === 'rejected') return preparation;
      const confirmed = principal.confirm?.() ?? true;
      return confirmed ? { kind: 'accepted', client: preparation.create() } : rejected(unauthorized());
    });
  }

  /** Prepares a client of a wire without sessions. Its id is the number of its connection. */
  #prepareConnection(
    verifiedUser: string | undefined,
    principal: Principal,
    { access, wire, query, address }: HandshakeRequest,
  ): Preparation {
    const { context } = access;
    const parameters = wire.publishing ? query : undefined;
    const room = parameters?.get('room_id') ?? undefined;
    if (room !== undefined && !isRoom(room)) return rejected(plainText(400, 'Bad room'));
    const requestedUser = parameters?.get('user_id') ?? undefined;
    if (requestedUser !== undefined && !isUser(requestedUser)) return rejected(plainText(400, 'Bad user'));
    const user = verifiedUser ?? requestedUser ?? wire.guest?.();
    const identity = { address, ...(user !== undefined && { user }), ...(room !== undefined && { rooms: [room] }) };
    const create = () =>
      new Client(`c${++this.#connections}`, wire, context, { ...identity, ...validity(principal, access) });
    return { kind: 'valid', create };
  }

  /** Prepares a client of the native protocol. Its id is that of its session. */
  #prepareSession(
    verifiedUser: string | undefined,
    principal: Principal,
    { access, wire, query, address }: HandshakeRequest,
  ): Preparation {
    const { sessions, context } = access;
    const parsed = readSessionQuery(query, sessions, verifiedUser);
    if (parsed.kind === 'invalid') return rejected(parsed.response);
    const { session, rooms } = parsed;
    const { id, user, resume } = session;
    const { expires } = principal;
    const welcome = {
      t: 'welcome',
      session: id,
      user,
      resume,
      limits: limitsOf(wire, context),
      heartbeat: wire.pingPeriod / 1000,
      ...(expires !== undefined && { expiresIn: Math.floor(timeUntil(expires, context) / 1000) }),
    } as const;
    const valid = validity(principal, access);
    const create = () => {
      // The session's older connection may still seem open: it must no longer receive or send.
      const onOpen = () => {
        this.#bySession.get(id)?.end(closes.replaced);
        this.#bySession.set(id, client);
      };
      const client: Client = new Client(id, wire, context, { user, address, rooms, welcome, onOpen, ...valid });
      return client;
    };
    return { kind: 'valid', create };
  }
}

/** Returns a principal's permissions and their expiry. A new token replaces both. */
function validity(
  { user, grants, expires }: Principal,
  { authenticator, context }: Access,
): Pick<Identity, 'authorizer' | 'term'> {
  if (expires === undefined) return {};
  const until = (date: number) => context.clock.now() + timeUntil(date, context);
  let current = grants;
  const refresh = async (token: string) => {
    const authentication = await authenticator.authenticate(tokenCredentials(token));
    if (authentication.kind !== 'authenticated') return undefined;
    const { principal: renewed } = authentication;
    if (renewed.user !== user || renewed.expires === undefined) return undefined;
    current = renewed.grants;
    return until(renewed.expires);
  };
  return { authorizer: authorizerOf(() => current), term: { until: until(expires), refresh } };
}

/** Returns the milliseconds until a date, itself in milliseconds since 1970. */
function timeUntil(date: number, { clock }: ClientContext): number {
  return date - clock.date();
}

function limitsOf({ maxMessageSize: message }: Wire, { publishRate }: ClientContext): Limits {
  const { room: roomName, history } = fields;
  return { message, roomName, rooms: MAX_ROOMS, history, ...(publishRate !== 'off' && { publishRate }) };
}

/** Reports whether a wire can tell its clients their session. */
function hasSessions(wire: Wire): boolean {
  return wire.notices.has('welcome');
}

/** Reports whether a guest uses a wire that requires a ticket. */
function lacksUser(principal: Principal, wire: Wire): boolean {
  return wire.ticketed === true && principal.user === undefined;
}

function rejected(response: HttpResponse) {
  return { kind: 'rejected', response } as const;
}

function toUpgrade(acceptance: Acceptance, { protocol }: HandshakeRequest): Upgrade | HttpResponse {
  return acceptance.kind === 'accepted' ? { listener: acceptance.client, protocol } : acceptance.response;
}

/** @param grants returns the current grants; undefined allows everything. */
function authorizerOf(grants: () => Principal['grants']): Authorizer {
  const decide = (action: 'join' | 'send', room: string): Decision => {
    const current = grants();
    const allowed = current === undefined || allows(current, action, room);
    return allowed ? ALLOWED : { kind: 'denied', code: 'forbidden' };
  };
  return { join: (_, room) => decide('join', room), send: (_, { room }) => decide('send', room) };
}
