import { type Principal, tokenCredentials } from '../auth/authenticator.ts';
import { allows } from '../auth/grants.ts';
import type { Revocations } from '../auth/revocations.ts';
import { ALLOWED, type Authorizer, type Decision as Permission } from '../client/authorizer.ts';
import { Client, type ClientContext } from '../client/client.ts';
import type { Identity } from '../client/identity.ts';
import type { Verdict } from '../client/lives.ts';
import { type Close, revokedClose } from '../protocol/close-codes.ts';
import type { NowOrLater } from '../protocol/now-or-later.ts';
import type { AuthenticationKind } from '../protocol/session-life.ts';
import { type Limits, MAX_ROOMS } from '../protocol/v1.ts';
import { fields } from '../wire/v1.ts';
import { isRoom, isUser, type Wire } from '../wire/wire.ts';
import { type Access, type HandshakeRequest, hasSessions } from './handshake-request.ts';
import type { HeldSessions, Reservation } from './held-sessions.ts';
import { readSessionQuery } from './query.ts';
import { queryRefusal, type Refusal, refused } from './refusal.ts';
import type { FirstRoom } from './stream-request.ts';

/** A client that connects unless its credential is spent or its session cannot be claimed. */
export type Prepared =
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

/** Creates the clients of handshakes that are authenticated. */
export class ClientFactory {
  readonly #sessions: Pick<HeldSessions, 'open'>;
  readonly #revocations: Revocations | undefined;
  #connections = 0;

  /** @param revocations @default no credential is revoked */
  constructor(sessions: Pick<HeldSessions, 'open'>, revocations: Revocations | undefined) {
    this.#sessions = sessions;
    this.#revocations = revocations;
  }

  /** @param revoked the session that the client resumes is revoked: it gets another one. */
  prepare(
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

  /** Returns why a client whose credential was revoked during its handshake must be closed. */
  #revoked(user: string, issued: number, { expires }: Principal): Close | undefined {
    if (!this.#revocations?.coversNow(user, issued)) return undefined;
    return revokedClose(expires !== undefined);
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
