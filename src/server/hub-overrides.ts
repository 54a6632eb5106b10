import { tableOf } from '../config/room-settings.ts';
import type { Settings } from '../config/settings.ts';
import type { HubOverrides } from '../hub/settings.ts';

/** Returns the settings of the Hub that the settings of the server name. */
export function hubOverrides({ sendBuffer, rooms }: Settings): HubOverrides {
  const [coalesce, slow] = [tableOf(rooms, 'coalesce'), tableOf(rooms, 'slow')];
  return {
    ...(sendBuffer !== undefined && { sendBuffer: { records: sendBuffer } }),
    coalesce: (room) => coalesce.find(room),
    slow: (room) => slow.find(room) ?? 'evict',
  };
}
