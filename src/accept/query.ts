import type { Session, Sessions } from '../auth/sessions.ts';
import { plainText } from '../http/responses.ts';
import { MAX_ROOMS } from '../protocol/v1.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import { isRoom, isUser } from '../wire/wire.ts';

/** The query of a handshake in the native protocol. */
export type SessionQuery =
  | { readonly kind: 'valid'; readonly session: Session; readonly rooms: readonly string[] }
  | { readonly kind: 'invalid'; readonly response: HttpResponse };

/**
 * Reads `?user=`, `?resume=` and `?room=`, which may be repeated. A `resume` token of another
 * server, or of a lost secret, starts a new session.
 *
 * @param verifiedUser replaces the name that the query asks for.
 */
export function readSessionQuery(query: URLSearchParams, sessions: Sessions, verifiedUser?: string): SessionQuery {
  const rooms = [...new Set(query.getAll('room'))];
  if (rooms.length > MAX_ROOMS || !rooms.every(isRoom)) return invalid('Bad room');
  const user = verifiedUser ?? query.get('user') ?? undefined;
  if (user !== undefined && !isUser(user)) return invalid('Bad user');
  const resumed = sessions.resume(query.get('resume') ?? '');
  const mayResume = resumed !== undefined && (verifiedUser === undefined || resumed.user === verifiedUser);
  return { kind: 'valid', session: mayResume ? resumed : sessions.create(user), rooms };
}

function invalid(reason: string): SessionQuery {
  return { kind: 'invalid', response: plainText(400, reason) };
}

/** Reports whether a client offers a subprotocol. */
export function offers(request: HttpRequest, subprotocol: string): boolean {
  return request
    .header('sec-websocket-protocol')
    .split(',')
    .some((offered) => offered.trim() === subprotocol);
}
