import { type Session, type Sessions, USER_BYTES } from '../auth/sessions.ts';
import type { HttpRequest, HttpResponse } from '../transport/port.ts';
import { plainText } from './answers.ts';

/** Who comes in by the native protocol, and the rooms it names in its address. */
export interface Admission {
  readonly session: Session;
  readonly rooms: readonly string[];
}

const ROOM_BYTES = 128;
const ROOMS = 128;

/**
 * Reads `?user=`, `?resume=` and `?room=` (as often as there are rooms). A token of another server's, or of one whose secret is
 * lost, gets a new session.
 *
 * @param known who it is, whatever name it asks for. @returns the admission, or the refusal.
 */
export function admit(query: URLSearchParams, sessions: Sessions, known?: string): Admission | HttpResponse {
  const rooms = [...new Set(query.getAll('room'))];
  if (rooms.length > ROOMS || rooms.some((room) => !hasBytes(room, ROOM_BYTES))) return plainText(400, 'Bad room');
  const user = known ?? query.get('user') ?? undefined;
  if (user !== undefined && !hasBytes(user, USER_BYTES)) return plainText(400, 'Bad user');
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

function hasBytes(text: string, most: number): boolean {
  return text !== '' && Buffer.byteLength(text) <= most;
}
