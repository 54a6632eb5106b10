import {
  type AuthenticationFailure,
  type Authenticator,
  bearerProtocol,
  type Credentials,
  credentialsOf,
  INVALID,
  MISSING,
  type Principal,
  tokenCredentials,
  UNAVAILABLE,
} from '../auth/authenticator.ts';
import { allows } from '../auth/grants.ts';
import type { Revocations } from '../auth/revocations.ts';
import type { Session, Sessions } from '../auth/sessions.ts';
import { ALLOWED, type Authorizer, type Decision as Permission } from '../client/authorizer.ts';
import { Client, type ClientContext } from '../client/client.ts';
import type { Identity } from '../client/identity.ts';
import type { Verdict } from '../client/lives.ts';
import { checkOrigin, type Origins } from '../http/origin.ts';
import type { Admission } from '../http/publish.ts';
import { plainText } from '../http/responses.ts';
import type { Scheduler } from '../hub/time.ts';
import { type Close, closes, revokedClose } from '../protocol/close-codes.ts';
import { andThen, type NowOrLater, orElse } from '../protocol/now-or-later.ts';
import type { AuthenticationKind } from '../protocol/session-life.ts';
import { type Limits, MAX_ROOMS, SUBPROTOCOL } from '../protocol/v1.ts';
import type { HttpRequest, HttpResponse, SocketListener, Upgrade } from '../transport/transport.ts';
import { fields } from '../wire/v1.ts';
import { isRoom, isUser, type Wire } from '../wire/wire.ts';
import type { ConnectionLimiter } from './connection-limits.ts';
import { refusalOf } from './handshake.ts';
import type { HandshakeLimiter } from './handshake-limiter.ts';
import { HeldSessions, type Reservation, type SessionClaims } from './held-sessions.ts';
import type { HookRunner } from './hooks.ts';
import { type LateAuthentication, PendingClient } from './pending-client.ts';
import { offers, readSessionQuery, resumeSecret } from './query.ts';
import {
  authenticationRefusal,
  DRAINING,
  hookRefusal,
  malformedRefusal,
  originRefusal,
  pathRefusal,
  queryRefusal,
  type Refusal,
  roomRefusal,
  streamRefusal,
  unavailableRefusal,
} from './refusal.ts';
import { RefusedConnections } from './refused-connections.ts';
import { StreamClient } from './stream-client.ts';
import { type FirstRoom, type ReadMessages, resumeHeader } from './stream-request.ts';

/** How the clients of a listener authenticate, and what that gives them. */
export interface Access {
  readonly authenticator: Authenticator;
  /** The sessions that may resume here. */
  readonly sessions: Sessions;
  readonly context: ClientContext;
}

/**
 * The address of the server's own clients, wherever they connect from. They are counted apart, and
 * have no limit of an address.
 */
const INTERNAL_ADDRESS = 'canary';

export interface UpgraderOptions {
  readonly hub: ClientContext['hub'];
  readonly scheduler: Scheduler;
  /** Origins whose pages may connect, besides this host's own. */
  readonly origins: Origins;
  readonly limiter: ConnectionLimiter;
  /** Bounds the handshakes a second. @default no bound */
  readonly handshakes?: HandshakeLimiter | undefined;
  /** Refused connections of the native protocol that may be open at once. @default 100 */
  readonly maxRefused?: number;
  /** Reports whether the server is shutting down. @default it never does */
  readonly draining?: () => boolean;
  /** Reports whether the engine reaches its store. @default it always does */
  readonly ready?: () => boolean;
  /** Decides which node holds a session. @default there are no other nodes */
  readonly claims?: SessionClaims;
  /** @default no credential is revoked */
  readonly revocations?: Revocations;
  /** Returns the client's address, which behind a proxy is not the connection's. */
  readonly addressOf: (request: HttpRequest) => string;
  /** Calls the connect hook. @default every handshake is admitted */
  readonly hookRunner?: HookRunner;
}

/** The claims of a node without others. */
const ALONE: SessionClaims = { claim() {}, disclaim() {} };

/** The parts of a handshake that are needed after the call in which the request is valid. */
interface HandshakeRequest {
  readonly access: Access;
  readonly wire: Wire;
  readonly query: URLSearchParams;
  /** The subprotocol to select; empty for none. */
  readonly protocol: string;
  readonly address: string;
  /** The page's; empty unless a browser sent it. */
  readonly origin: string;
  /** The secret of the session to resume; empty for none. */
  readonly resume: string;
  /** Why it is no valid handshake. */
  readonly defect: Refusal | undefined;
  /** The room of a stream that has one. */
  readonly first?: FirstRoom | undefined;
  /** Whether the client cannot send a token later. */
  readonly isStream?: boolean;
  /** Calls the connect hook. */
  readonly connect: () => NowOrLater<Admission>;
  /** Whether its user is authenticated, or named by the hook. @default it is not known yet */
  readonly isVerified?: boolean;
}

/** The decision on a handshake. It creates the client last, when nothing else can refuse it. */
type Decision =
  | { readonly kind: 'accepted'; readonly create: () => Client | PendingClient }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** The decision on a handshake with credentials. */
type Admittance =
  | { readonly kind: 'accepted'; readonly create: () => Client }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** A request for a stream over HTTP. */
export interface StreamRequest {
  readonly wire: Wire;
  readonly access: Access;
  /** The rejection of a malformed request, before its origin is checked. */
  readonly defect?: HttpResponse | undefined;
  /** The room of the stream. @default those of the client's messages */
  readonly first?: FirstRoom | undefined;
  /** The messages in the body. @default there are none */
  readonly messages?: Promise<ReadMessages>;
}

/** The decision on a request for a stream. A listener has to be opened in the same turn. */
export type StreamDecision =
  | { readonly kind: 'opened'; readonly listener: SocketListener }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** A client that connects unless its credential is spent or its session cannot be claimed. */
type Prepared =
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | {
      readonly kind: 'connection';
      readonly rooms: readonly string[];
      readonly create: () => Client;
      /** Decides whether it may join them. @default that is decided when it joins */
      readonly permission?: () => NowOrLater<Permission>;
    }
  | {
      readonly kind: 'session';
      readonly session: string;
      readonly isNew: boolean;
      readonly create: (reservation: Reservation) => Client;
    };

/** Upgrader authenticates handshakes and creates their clients. */
export class Upgrader {
  readonly #options: UpgraderOptions;
  readonly #sessions: HeldSessions;
  readonly #pending = new Set<PendingClient>();
  readonly #refused: RefusedConnections;
  #connections = 0;

  constructor(options: UpgraderOptions) {
    this.#options = options;
    const { limiter, hub, claims = ALONE, scheduler } = options;
    this.#sessions = new HeldSessions(claims, scheduler);
    this.#refused = new RefusedConnections(options.maxRefused);
    hub.events.on('connected', ({ remoteAddress }) => limiter.add(remoteAddress));
    hub.events.on('disconnected', ({ client, remoteAddress }) => {
      limiter.remove(remoteAddress);
      this.#sessions.closed(client);
    });
  }

  /** Accepts or refuses a handshake, which it reads before it returns. */
  upgrade(request: HttpRequest, wire: Wire, access: Access): NowOrLater<Upgrade | HttpResponse> {
    const handshake = this.#read(request, wire, access);
    const early = this.#checkOpen() ?? this.#checkLimits(handshake);
    if (early) return this.#refuse(early, handshake);
    return andThen(this.#decide(credentialsOf(request, handshake.address), handshake), (decision) => {
      // A hook may take so long that the server shuts down meanwhile.
      const closed = this.#checkOpen();
      if (closed) return this.#refuse(closed, handshake);
      if (decision.kind === 'refused') return this.#refuse(decision.refusal, handshake);
      return { listener: decision.create(), protocol: handshake.protocol };
    });
  }

  /**
   * Accepts or refuses a request for a stream, by the checks of a handshake in their order. Reads
   * the request before it returns.
   */
  openStream(request: HttpRequest, stream: StreamRequest): NowOrLater<StreamDecision> {
    const handshake = this.#readStream(request, stream);
    const refuse = (refusal: Refusal): StreamDecision => {
      this.#report(refusal, handshake.wire.name, handshake.address, handshake.origin);
      return refused(refusal);
    };
    const early = this.#checkOpen() ?? this.#checkLimits(handshake);
    if (early) return refuse(early);
    const credentials = credentialsOf(request, handshake.address);
    return andThen(stream.messages ?? NO_MESSAGES, (messages) => {
      if (messages.kind === 'invalid') return refuse(streamRefusal(messages.response));
      const { token = credentials.token, lines } = messages;
      return andThen(this.#decide({ ...credentials, token: credentials.token ?? token }, handshake), (decision) => {
        const closed = this.#checkOpen();
        if (closed) return refuse(closed);
        if (decision.kind === 'refused') return refuse(decision.refusal);
        const client = decision.create();
        return { kind: 'opened', listener: lines.length > 0 ? new StreamClient(client as Client, lines) : client };
      });
    });
  }

  /** Rejects a request to a wire's path that is not a handshake. */
  async rejectPlain(request: HttpRequest, wire: Wire, { authenticator }: Access): Promise<HttpResponse> {
    const { origins, addressOf } = this.#options;
    const address = addressOf(request);
    const origin = request.header('origin');
    const reject = (refusal: Refusal) => this.#report(refusal, wire.name, address, origin);
    const defect = refusalOf(request, wire.library, origins) ?? malformedRefusal(plainText(400, 'Bad Request'));
    if (!wire.ticketed) return reject(defect);
    const authentication = await authenticator.authenticate(credentialsOf(request, address));
    if (authentication.kind !== 'authenticated') return reject(unauthenticated(authentication, authenticator));
    return reject(lacksUser(authentication.principal, wire) ? unauthenticated(MISSING, authenticator) : defect);
  }

  /** Rejects a handshake at a path without a wire. */
  rejectPath(request: HttpRequest): HttpResponse {
    return this.#report(pathRefusal(request.path), '', this.#options.addressOf(request), request.header('origin'));
  }

  /** Another node takes a session over. Resolves when its connection here has closed. */
  letGo(session: string): NowOrLater<void> {
    return this.#sessions.letGo(session);
  }

  /** Returns the open connection of a session, if it is here. */
  connectionOf(session: string): Client | undefined {
    return this.#sessions.connectionOf(session);
  }

  /** Closes the connections that have not authenticated. */
  close(): void {
    for (const pending of this.#pending) pending.end(closes.goingAway);
  }

  /** Returns the refusal of all handshakes while the server takes no clients. */
  #checkOpen(): Refusal | undefined {
    const { draining, ready } = this.#options;
    if (draining?.()) return DRAINING;
    return ready?.() === false ? unavailableRefusal('the engine cannot reach its store') : undefined;
  }

  #read(request: HttpRequest, wire: Wire, access: Access): HandshakeRequest {
    const { hookRunner, origins, addressOf } = this.#options;
    const native = hasSessions(wire) && offers(request, SUBPROTOCOL);
    const query = new URLSearchParams(request.query);
    const { isInternal } = access.context;
    const address = isInternal ? INTERNAL_ADDRESS : addressOf(request);
    const admit = (): Admission => ({ kind: 'admitted' });
    return {
      access,
      wire,
      query,
      protocol: native ? SUBPROTOCOL : (bearerProtocol(request) ?? ''),
      address,
      origin: request.header('origin'),
      resume: hasSessions(wire) ? resumeSecret(request) || this.#resumeInUrl(query, address) : '',
      defect: refusalOf(request, wire.library, origins),
      // The hooks decide about clients of the program, not about the server's own.
      connect: isInternal ? admit : (hookRunner?.prepareConnect(request, address) ?? admit),
    };
  }

  #readStream(request: HttpRequest, { access, wire, defect, first }: StreamRequest): HandshakeRequest {
    const { hookRunner, origins, addressOf } = this.#options;
    const origin = request.header('origin');
    const address = addressOf(request);
    const rejection = checkOrigin(request, origins);
    const refusedOrigin = rejection && originRefusal(origin, rejection);
    return {
      access,
      wire,
      query: new URLSearchParams(request.query),
      protocol: '',
      address,
      origin,
      resume: hasSessions(wire) ? resumeHeader(request) : '',
      defect: defect ? streamRefusal(defect) : refusedOrigin,
      first,
      isStream: true,
      connect: hookRunner?.prepareConnect(request, address) ?? (() => ({ kind: 'admitted' })),
    };
  }

  /** Reads the secret where older clients send it: URLs end up in logs. */
  #resumeInUrl(query: URLSearchParams, remoteAddress: string): string {
    const resume = query.get('resume') ?? '';
    const names = { feature: '?resume=SECRET in the URL', instead: 'the subprotocol resume.SECRET' };
    if (resume !== '') this.#options.hub.events.emit('deprecated', { ...names, remoteAddress });
    return resume;
  }

  #checkLimits({ address, defect, access }: HandshakeRequest): Refusal | undefined {
    const { limiter, handshakes } = this.#options;
    return limiter.check(access.context.isInternal ? undefined : address) ?? (defect ? undefined : handshakes?.take());
  }

  #decide(credentials: Credentials, handshake: HandshakeRequest): NowOrLater<Decision> {
    const { wire, defect } = handshake;
    const { authenticator } = handshake.access;
    return andThen(authenticator.authenticate(credentials), (authentication) => {
      // A failed authentication takes precedence over an invalid handshake.
      const valid = defect && refused(defect);
      if (authentication.kind === 'missing' && hasSessions(wire)) return valid ?? this.#acceptLater(handshake);
      if (authentication.kind !== 'authenticated') return refused(unauthenticated(authentication, authenticator));
      const { principal } = authentication;
      if (lacksUser(principal, wire)) return refused(unauthenticated(MISSING, authenticator));
      return valid ?? this.#accept(principal, handshake);
    });
  }

  /** Answers a refused handshake: by a close code where the client speaks the native protocol. */
  #refuse(refusal: Refusal, { wire, address, origin, protocol, defect }: HandshakeRequest): Upgrade | HttpResponse {
    const response = this.#report(refusal, wire.name, address, origin);
    const reportable = protocol === SUBPROTOCOL && defect?.reason !== 'malformed' && refusal.notice !== undefined;
    return (reportable ? this.#refused.accept(refusal.notice, wire, protocol) : undefined) ?? response;
  }

  #report({ reason, message, response }: Refusal, wire: string, remoteAddress: string, origin: string): HttpResponse {
    this.#options.hub.events.emit('refused', { reason, message, wire, remoteAddress, origin });
    return response;
  }

  /** Resumes the session of a handshake without credentials, or lets it authenticate once open. */
  async #acceptLater(handshake: HandshakeRequest): Promise<Decision> {
    const { authenticator, sessions } = handshake.access;
    const resumed = sessions.resume(handshake.resume);
    const revoked = resumed && (await this.isRevoked(resumed));
    if (revoked === 'unknown') return refused(unauthenticated(UNAVAILABLE, authenticator));
    if (resumed && !revoked && (await authenticator.mayResume(resumed.user))) {
      const { user, issued } = resumed;
      return this.#accept({ user, issued, resumed: true }, handshake);
    }
    const { lateAuthentication } = authenticator;
    const browser = handshake.origin !== '';
    if (handshake.isStream) return refused(unauthenticated(MISSING, authenticator));
    const allowed = lateAuthentication === 'all' || (lateAuthentication === 'browsers' && browser);
    if (!allowed) return refused(unauthenticated(MISSING, authenticator));
    return { kind: 'accepted', create: () => this.#createPending(handshake) };
  }

  /** Reports whether a session's secret is revoked; `unknown` when the store cannot be reached. */
  isRevoked({ user, issued }: Pick<Session, 'user' | 'issued'>): NowOrLater<boolean | 'unknown'> {
    return orElse(this.#options.revocations?.covers(user, issued) ?? false, () => 'unknown' as const);
  }

  #createPending(handshake: HandshakeRequest): PendingClient {
    const { scheduler, limiter } = this.#options;
    const { wire, address, origin } = handshake;
    const { authenticator } = handshake.access;
    const report = (refusal: Refusal) => this.#report(refusal, wire.name, address, origin);
    const refuse = (refusal: Refusal): LateAuthentication => {
      report(refusal);
      const notice = refusal.notice ?? { close: { ...closes.forbidden, reason: refusal.message } };
      return { kind: 'refused', notice };
    };
    const authenticate = async (token: string): Promise<LateAuthentication> => {
      const closed = this.#checkOpen();
      if (closed) return refuse(closed);
      const authentication = await authenticator.authenticate(tokenCredentials(token, address));
      if (authentication.kind === 'unavailable') return refuse(unauthenticated(authentication, authenticator));
      if (authentication.kind !== 'authenticated') {
        report(unauthenticated(authentication, authenticator));
        return { kind: 'invalid' };
      }
      const decision = await this.#accept(authentication.principal, handshake);
      if (decision.kind === 'refused') return refuse(decision.refusal);
      return { kind: 'accepted', client: decision.create() };
    };
    const pending = new PendingClient({
      wire,
      authenticate,
      scheduler,
      onMissingToken: () => report(unauthenticated(MISSING, authenticator)),
      onDone: () => {
        if (this.#pending.delete(pending)) limiter.remove(address);
      },
    });
    this.#pending.add(pending);
    limiter.add(address);
    return pending;
  }

  /** Asks the connect hook, then prepares the client. */
  #accept(principal: Principal, handshake: HandshakeRequest): NowOrLater<Admittance> {
    return andThen(handshake.connect(), (admission) => {
      if (admission.kind === 'rejected') return refused(hookRefusal(admission));
      const user = admission.user ?? principal.user;
      const { authenticator, sessions } = handshake.access;
      const resumed = hasSessions(handshake.wire) ? sessions.resume(handshake.resume) : undefined;
      return andThen(resumed ? this.isRevoked(resumed) : false, (revoked): NowOrLater<Admittance> => {
        if (revoked === 'unknown') return refused(unauthenticated(UNAVAILABLE, authenticator));
        const isVerified = admission.user !== undefined || authenticator.requires !== 'nothing';
        const prepared = this.#prepare(user, principal, { ...handshake, isVerified }, revoked);
        if (prepared.kind === 'refused') return prepared;
        const permission = prepared.kind === 'connection' ? prepared.permission?.() : undefined;
        return andThen(permission ?? ALLOWED, (permission) => {
          if (permission.kind === 'denied') return refused(roomRefusal(handshake.first?.room ?? '', permission));
          return this.#confirm(principal, prepared, handshake);
        });
      });
    });
  }

  /** Spends a one-time credential, when nothing but a claim can refuse the client. */
  #confirm(
    principal: Principal,
    prepared: Exclude<Prepared, { kind: 'refused' }>,
    { access }: HandshakeRequest,
  ): NowOrLater<Admittance> {
    return andThen(confirm(principal), (failure): NowOrLater<Admittance> => {
      if (failure) return refused(unauthenticated(failure, access.authenticator));
      return prepared.kind === 'connection' ? this.#prepareRooms(prepared) : this.#claim(prepared);
    });
  }

  /** Returns why a client whose credential was revoked during its handshake must be closed. */
  #revoked(user: string, issued: number, { expires }: Principal): Close | undefined {
    if (!this.#options.revocations?.coversNow(user, issued)) return undefined;
    return revokedClose(expires !== undefined);
  }

  /**
   * Starts to attach the rooms of a connection before the handshake is answered. Without the native
   * protocol's `joined`, the answer is the sign that later messages reach the client, also those
   * that are sent through another worker.
   */
  #prepareRooms({ rooms, create }: Extract<Prepared, { kind: 'connection' }>): Admittance {
    for (const room of rooms) this.#options.hub.prepare(room);
    return accepted(create);
  }

  /**
   * Takes a session over from any other node. It happens before the handshake is answered: a
   * connection that is open could send, and would have to be held back. It happens after everything
   * that can refuse the client, for then its other connection is closed.
   */
  #claim({ session, isNew, create }: Extract<Prepared, { kind: 'session' }>): NowOrLater<Admittance> {
    return andThen(this.#sessions.claim(session, isNew), (reservation): Admittance => {
      if (reservation === undefined) {
        return refused(unavailableRefusal('its session could not be claimed from the other nodes'));
      }
      return accepted(() => create(reservation));
    });
  }

  /** @param revoked the session that the client resumes is revoked: it gets another one. */
  #prepare(
    verifiedUser: string | undefined,
    principal: Principal,
    handshake: HandshakeRequest,
    revoked: boolean,
  ): Prepared {
    const { first, wire } = handshake;
    if (first) return this.#prepareReader(first, verifiedUser, principal, handshake);
    return hasSessions(wire)
      ? this.#prepareSession(verifiedUser, principal, handshake, revoked)
      : this.#prepareConnection(verifiedUser, principal, handshake);
  }

  /** Prepares a reader of a room. It is created at once: authorizers decide on clients. */
  #prepareReader(
    { room, ...start }: FirstRoom,
    verifiedUser: string | undefined,
    principal: Principal,
    { access, wire, query, address }: HandshakeRequest,
  ): Prepared {
    const user = verifiedUser ?? query.get('user') ?? wire.guest?.();
    if (user !== undefined && !isUser(user)) return refused(queryRefusal('Bad user'));
    const rooms = [room];
    const issued = principal.issued ?? access.context.clock.date();
    const onOpen = () => this.#revoked(client.user, issued, principal);
    const valid = validity(principal, access);
    const verdict = verdictOf(principal, verifiedUser, false);
    const identity = { address, rooms, start, issued, onOpen, verdict, ...(user !== undefined && { user }), ...valid };
    const client: Client = new Client(`c${++this.#connections}`, wire, access.context, identity);
    return { kind: 'connection', rooms, create: () => client, permission: () => client.permission(room) };
  }

  /** Prepares a client of a wire without sessions. Its id is the number of its connection. */
  #prepareConnection(
    verifiedUser: string | undefined,
    principal: Principal,
    { access, wire, query, address }: HandshakeRequest,
  ): Prepared {
    const { context } = access;
    const parameters = wire.publishing ? query : undefined;
    const room = parameters?.get('room_id') ?? undefined;
    if (room !== undefined && !isRoom(room)) return refused(queryRefusal('Bad room'));
    const requestedUser = parameters?.get('user_id') ?? undefined;
    if (requestedUser !== undefined && !isUser(requestedUser)) return refused(queryRefusal('Bad user'));
    const user = verifiedUser ?? requestedUser ?? wire.guest?.();
    const issued = principal.issued ?? context.clock.date();
    const identity = {
      address,
      issued,
      verdict: verdictOf(principal, verifiedUser, false),
      ...(user !== undefined && { user }),
      ...(room !== undefined && { rooms: [room] }),
    };
    const create = () => {
      const onOpen = () => this.#revoked(client.user, issued, principal);
      const client: Client = new Client(`c${++this.#connections}`, wire, context, {
        ...identity,
        onOpen,
        ...validity(principal, access),
      });
      return client;
    };
    return { kind: 'connection', rooms: identity.rooms ?? wire.rooms, create };
  }

  /** Prepares a client of the native protocol. Its id is that of its session. */
  #prepareSession(
    verifiedUser: string | undefined,
    principal: Principal,
    { access, wire, query, resume: secret, address, isVerified = false }: HandshakeRequest,
    revoked: boolean,
  ): Prepared {
    const { sessions, context } = access;
    const parsed = readSessionQuery(query, secret, sessions, verifiedUser, revoked, principal.issued);
    if (parsed.kind === 'invalid') return refused(parsed.refusal);
    const { session, resumed, rooms } = parsed;
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
      ...(context.lives && { reports: true as const }),
    } as const;
    const valid = validity(principal, access);
    // Without another credential, a connection rests on the secret of the session that it resumes.
    const issued = principal.issued ?? (verifiedUser === undefined ? session.issued : context.clock.date());
    const verdict = verdictOf(principal, verifiedUser, resumed);
    const identity = { user, isVerified, address, rooms, welcome, issued, verdict, ...valid };
    const create = (reservation: Reservation) => {
      const onOpen = () => this.#revoked(user, issued, principal) ?? this.#sessions.open(reservation, client);
      const client: Client = new Client(id, wire, context, { ...identity, onOpen });
      return client;
    };
    return { kind: 'session', session: id, isNew: !resumed, create };
  }
}

const NO_MESSAGES: ReadMessages = { kind: 'messages', lines: [] };

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
    return { issued: renewed.issued ?? context.clock.date(), until: until(renewed.expires) };
  };
  return { authorizer: authorizerOf(() => current), term: { until: until(expires), refresh } };
}

/** @param verifiedUser that of the principal, unless the connect hook gave another. */
function verdictOf(
  { user, expires, confirm, resumed: bySecret }: Principal,
  verifiedUser: string | undefined,
  resumed: boolean,
): Verdict {
  const kind = (): AuthenticationKind => {
    if (verifiedUser !== user) return 'hook';
    if (expires !== undefined) return 'token';
    if (confirm !== undefined) return 'ticket';
    if (bySecret) return 'session';
    return user === undefined ? 'none' : 'password';
  };
  return { authentication: kind(), resumed };
}

/** Returns the milliseconds until a date, itself in milliseconds since 1970. */
function timeUntil(date: number, { clock }: ClientContext): number {
  return date - clock.date();
}

function limitsOf({ maxMessageSize: message }: Wire, { publishRate }: ClientContext): Limits {
  const { room: roomName, history } = fields;
  return { message, roomName, rooms: MAX_ROOMS, history, ...(publishRate !== 'off' && { publishRate }) };
}

function unauthenticated(failure: AuthenticationFailure, { requires }: Authenticator): Refusal {
  return authenticationRefusal(failure, requires);
}

/** Reports whether a wire can tell its clients their session. */
function hasSessions(wire: Wire): boolean {
  return wire.notices.has('welcome');
}

/** Reports whether a guest uses a wire that requires a ticket. */
function lacksUser(principal: Principal, wire: Wire): boolean {
  return wire.ticketed === true && principal.user === undefined;
}

function refused(refusal: Refusal) {
  return { kind: 'refused', refusal } as const;
}

function accepted(create: () => Client): Admittance {
  return { kind: 'accepted', create };
}

/** Spends a one-time credential. @returns why the client is refused, or undefined. */
function confirm(principal: Principal): NowOrLater<AuthenticationFailure | undefined> {
  const confirmed = andThen(principal.confirm?.() ?? true, (confirmed) => (confirmed ? undefined : INVALID));
  return orElse(confirmed, () => UNAVAILABLE);
}

/** @param grants returns the current grants; undefined allows everything. */
function authorizerOf(grants: () => Principal['grants']): Authorizer {
  const decide = (action: 'join' | 'send', room: string): Permission => {
    const current = grants();
    const allowed = current === undefined || allows(current, action, room);
    return allowed ? ALLOWED : { kind: 'denied', code: 'forbidden' };
  };
  return {
    join: (_, room) => decide('join', room),
    send: (_, { room }) => decide('send', room),
    signal: (_, room) => decide('send', room),
  };
}
