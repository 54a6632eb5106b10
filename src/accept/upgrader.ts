import {
  type AuthenticationFailure,
  type Authenticator,
  type Credentials,
  credentialsOf,
  INVALID,
  MISSING,
  type Principal,
  tokenCredentials,
  UNAVAILABLE,
} from '../auth/authenticator.ts';
import type { Revocations } from '../auth/revocations.ts';
import type { Session } from '../auth/sessions.ts';
import { ALLOWED } from '../client/authorizer.ts';
import type { Client } from '../client/client.ts';
import { plainText } from '../http/responses.ts';
import type { Scheduler } from '../hub/time.ts';
import { closes } from '../protocol/close-codes.ts';
import { andThen, type NowOrLater, orElse } from '../protocol/now-or-later.ts';
import { SUBPROTOCOL } from '../protocol/v1.ts';
import type { HttpRequest, HttpResponse, SocketListener, Upgrade } from '../transport/transport.ts';
import type { Wire } from '../wire/wire.ts';
import { ClientFactory, type Prepared } from './client-factory.ts';
import type { ConnectionLimiter } from './connection-limits.ts';
import { refusalOf } from './handshake.ts';
import type { HandshakeLimiter } from './handshake-limiter.ts';
import {
  type Access,
  HandshakeReader,
  type HandshakeReaderOptions,
  type HandshakeRequest,
  hasSessions,
  type StreamRequest,
} from './handshake-request.ts';
import { HeldSessions, type SessionClaims } from './held-sessions.ts';
import { type LateAuthentication, PendingClient } from './pending-client.ts';
import {
  authenticationRefusal,
  DRAINING,
  hookRefusal,
  malformedRefusal,
  pathRefusal,
  type Refusal,
  refused,
  roomRefusal,
  streamRefusal,
  unavailableRefusal,
} from './refusal.ts';
import { RefusedConnections } from './refused-connections.ts';
import { StreamClient } from './stream-client.ts';
import type { ReadMessages } from './stream-request.ts';

export interface UpgraderOptions extends HandshakeReaderOptions {
  readonly scheduler: Scheduler;
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
}

/** The claims of a node without others. */
const ALONE: SessionClaims = { claim() {}, disclaim() {} };

/** The decision on a handshake. It creates the client last, when nothing else can refuse it. */
type Decision =
  | { readonly kind: 'accepted'; readonly create: () => Client | PendingClient }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** The decision on a handshake with credentials. */
type Admittance =
  | { readonly kind: 'accepted'; readonly create: () => Client }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** The decision on a request for a stream. A listener has to be opened in the same turn. */
export type StreamDecision =
  | { readonly kind: 'opened'; readonly listener: SocketListener }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** Upgrader authenticates handshakes and creates their clients. */
export class Upgrader {
  readonly #options: UpgraderOptions;
  readonly #reader: HandshakeReader;
  readonly #sessions: HeldSessions;
  readonly #factory: ClientFactory;
  readonly #pending = new Set<PendingClient>();
  readonly #refused: RefusedConnections;

  constructor(options: UpgraderOptions) {
    this.#options = options;
    const { limiter, hub, claims = ALONE, scheduler } = options;
    this.#reader = new HandshakeReader(options);
    this.#sessions = new HeldSessions(claims, scheduler);
    this.#factory = new ClientFactory(this.#sessions, options.revocations);
    this.#refused = new RefusedConnections(options.maxRefused);
    hub.events.on('connected', ({ remoteAddress }) => limiter.add(remoteAddress));
    hub.events.on('disconnected', ({ client, remoteAddress }) => {
      limiter.remove(remoteAddress);
      this.#sessions.closed(client);
    });
  }

  /** Accepts or refuses a handshake, which it reads before it returns. */
  upgrade(request: HttpRequest, wire: Wire, access: Access): NowOrLater<Upgrade | HttpResponse> {
    const handshake = this.#reader.read(request, wire, access);
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
    const handshake = this.#reader.readStream(request, stream);
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
        const prepared = this.#factory.prepare(user, principal, { ...handshake, isVerified }, revoked);
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
}

const NO_MESSAGES: ReadMessages = { kind: 'messages', lines: [] };

function unauthenticated(failure: AuthenticationFailure, { requires }: Authenticator): Refusal {
  return authenticationRefusal(failure, requires);
}

/** Reports whether a guest uses a wire that requires a ticket. */
function lacksUser(principal: Principal, wire: Wire): boolean {
  return wire.ticketed === true && principal.user === undefined;
}

function accepted(create: () => Client): Admittance {
  return { kind: 'accepted', create };
}

/** Spends a one-time credential. @returns why the client is refused, or undefined. */
function confirm(principal: Principal): NowOrLater<AuthenticationFailure | undefined> {
  const confirmed = andThen(principal.confirm?.() ?? true, (confirmed) => (confirmed ? undefined : INVALID));
  return orElse(confirmed, () => UNAVAILABLE);
}
