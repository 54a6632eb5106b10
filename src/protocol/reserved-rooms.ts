/** The prefix of the rooms in which servers check themselves. No other client may use them. */
export const CANARY_ROOMS = '_canary/';

/** Reports whether a room is the server's own, which no client and no key may use. */
export function isReservedRoom(room: string): boolean {
  return room.startsWith(CANARY_ROOMS);
}
