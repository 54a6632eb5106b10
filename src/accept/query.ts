import type { Session, Sessions } from '../auth/sessions.ts';
import { plainText } from '../http/responses.ts';
import { MAX_ROOMS } from '../protocol/v1.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import { isRoom, isUser } from '../wire/wire.ts';

/** Who comes in by the native protocol, and the rooms it names in its address. */
export interface SessionQuery {
  readonly session: Session;
  readonly rooms: readonly string[];
}

/**
 * Reads `?user=`, `?resume=` and `?room=` (as often as there are rooms). A token of another server's, or of one whose secret is
 * lost, gets a new session.
 *
 * @param known who it is, whatever name it asks for. @returns the admission, or the refusal.
 */
export function readSessionQuery(
  query: URLSearchParams,
  sessions: Sessions,
  known?: string,
): SessionQuery | HttpResponse {
  const rooms = [...new Set(query.getAll('room'))];
  if (rooms.length > MAX_ROOMS || !rooms.every(isRoom)) return plainText(400, 'Bad room');
  const user = known ?? query.get('user') ?? undefined;
  if (user !== undefined && !isUser(user)) return plainText(400, 'Bad user');
  const resumed = sessions.resume(query.get('resume') ?? '');
  const session = resumed && (known === undefined || resumed.user === known) ? resumed : sessions.create(user);
  return { session, rooms };
}

/** Whether a client offers this subprotocol. */
export function offers(request: HttpRequest, subprotocol: string): boolean {
  return request
    .header('sec-websocket-protocol')
    .split(',')
    .some((offered) => offered.trim() === subprotocol);
}
