import type { Settings } from '../config/settings.ts';
import type { HubOverrides } from '../hub/settings.ts';

/** Returns the settings of the Hub that the settings of the server name. */
export function hubOverrides({ sendBuffer, rooms }: Settings): HubOverrides {
  const roomSettings = (room: string) => (Object.hasOwn(rooms, room) ? rooms[room] : undefined);
  return {
    ...(sendBuffer !== undefined && { sendBuffer: { records: sendBuffer } }),
    coalesce: (room) => roomSettings(room)?.coalesce,
    slow: (room) => roomSettings(room)?.slow ?? 'evict',
  };
}
