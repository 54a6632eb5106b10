import * as v from 'valibot';
import { ROOM_BYTES, USER_BYTES } from '../protocol/v1.ts';

/** The schema of a room's name. */
export const roomName = name(ROOM_BYTES);

/** The schema of a user's name. */
export const userName = name(USER_BYTES);

function name(maxBytes: number) {
  const rule = `must be a string of 1 to ${maxBytes} bytes`;
  return v.pipe(v.string(rule), v.nonEmpty(rule), v.maxBytes(maxBytes, rule));
}
