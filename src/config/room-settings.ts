// Room patterns are in src/protocol/room-pattern.ts, since folders that may not import this one use
// them, too.
import type { Coalesce, SlowPolicy } from '../hub/settings.ts';
import { RoomTable } from '../protocol/room-pattern.ts';
import type { Rate } from '../protocol/v1.ts';

/** The settings of the rooms that an entry of `rooms` matches. */
export interface RoomSettings {
  /**
   * Batching. In a config file `maxBytes` defaults to 65536.
   * @default undefined: each turn's messages are sent at once
   */
  readonly coalesce?: Coalesce;
  /** Policy for members that fall behind by more than `sendBuffer`. @default 'evict' */
  readonly slow?: SlowPolicy;
  /** Age at which stored messages are deleted, in days. @default the server's */
  readonly keepDays?: number;
  /**
   * Size of a room above which its oldest stored messages are deleted, in MiB.
   * @default the server's
   */
  readonly keepMegabytes?: number;
  /**
   * Messages that each client may send to the rooms of this entry together, besides the limit of
   * the client. `off` lifts the limit of a shorter prefix.
   *
   * @default no such limit
   */
  readonly publishRate?: Rate | 'off';
  /** Names of the webhooks that get the events of these rooms. @default [] */
  readonly webhooks?: readonly string[];
}

/**
 * Returns a table of one setting. Only entries that have the setting count, so each setting of a
 * room comes from the longest entry that has it.
 */
export function tableOf<K extends keyof RoomSettings>(
  rooms: Readonly<Record<string, RoomSettings>>,
  setting: K,
): RoomTable<NonNullable<RoomSettings[K]>> {
  const entries = Object.entries(rooms).flatMap(([pattern, { [setting]: value }]) =>
    value === undefined ? [] : [[pattern, value] as const],
  );
  return new RoomTable(Object.fromEntries(entries));
}
