import type { Session, Sessions } from '../auth/sessions.ts';
import { MAX_ROOMS } from '../protocol/v1.ts';
import type { HttpRequest } from '../transport/transport.ts';
import { isRoom, isUser } from '../wire/wire.ts';
import { queryRefusal, type Refusal } from './refusal.ts';

/** The subprotocol that carries a session's secret, beside that of the native protocol. */
const RESUME = 'resume.';

/** The session and the rooms that a handshake of the native protocol asks for. */
export type SessionQuery =
  | {
      readonly kind: 'valid';
      readonly session: Session;
      /** Whether the session is one that the client had before. */
      readonly resumed: boolean;
      readonly rooms: readonly string[];
    }
  | { readonly kind: 'invalid'; readonly refusal: Refusal };

/**
 * Reads `?user=` and `?room=`, which may be repeated. A secret of another server, or one whose key
 * is lost, starts a new session.
 *
 * @param secret of the session to resume; empty for none.
 *
 * @param verifiedUser replaces the name that the query asks for.
 *
 * @param revoked whether the secret was revoked. A verified user then gets a new one.
 *
 * @param issued when the credential was issued that a new secret rests on. @default now
 */
export function readSessionQuery(
  query: URLSearchParams,
  secret: string,
  sessions: Sessions,
  verifiedUser?: string,
  revoked = false,
  issued?: number,
): SessionQuery {
  const rooms = [...new Set(query.getAll('room'))];
  if (rooms.length > MAX_ROOMS || !rooms.every(isRoom)) return invalid('Bad room');
  const user = verifiedUser ?? query.get('user') ?? undefined;
  if (user !== undefined && !isUser(user)) return invalid('Bad user');
  const session = sessions.resume(secret);
  const resumed = session !== undefined && (verifiedUser === undefined ? !revoked : session.user === verifiedUser);
  if (!resumed) return { kind: 'valid', session: sessions.create(user, issued), resumed, rooms };
  return { kind: 'valid', session: revoked ? sessions.renew(session, issued) : session, resumed, rooms };
}

function invalid(reason: string): SessionQuery {
  return { kind: 'invalid', refusal: queryRefusal(reason) };
}

/** Returns the secret of the session to resume, from the offered subprotocols; empty for none. */
export function resumeSecret(request: HttpRequest): string {
  const offered = offeredSubprotocols(request).find((name) => name.startsWith(RESUME));
  return offered?.slice(RESUME.length) ?? '';
}

/** Reports whether a client offers a subprotocol. */
export function offers(request: HttpRequest, subprotocol: string): boolean {
  return offeredSubprotocols(request).includes(subprotocol);
}

function offeredSubprotocols(request: HttpRequest): readonly string[] {
  return request
    .header('sec-websocket-protocol')
    .split(',')
    .map((name) => name.trim());
}
