import { type DedupeLimits, defaultDedupeLimits } from './dedupe.ts';
import type { LogLimits } from './log.ts';

/** Trades a little delay in a busy room for fewer, larger frames. */
export interface Coalesce {
  /** Longest time that a record waits for others, in milliseconds. */
  readonly maxDelayMs: number;
  /** Bytes of records that are sent without further delay. */
  readonly maxBytes: number;
}

/**
 * How a room treats a member that is further behind than the send buffer. `evict` closes it; `skip`
 * moves it to the head after a gap notice; `latest` gives it the newest record alone.
 */
export type SlowPolicy = 'evict' | 'skip' | 'latest';

/** Bounds of the four mailboxes, in posts. A post past its bound is refused. */
export interface MailboxCapacities {
  readonly register: number;
  readonly unregister: number;
  readonly broadcast: number;
  readonly request: number;
}

export interface HubSettings {
  /**
   * How far a member may be behind its room's head before it counts as a slow consumer.
   *
   * @default 4,096 records or 4 MiB
   */
  readonly sendBuffer: LogLimits;
  /**
   * How much of each room's log stays in memory. It is raised to hold the send buffer and two
   * turns.
   *
   * @default 8,192 records or 8 MiB
   */
  readonly window: LogLimits;
  /** @default 65,536 posts each */
  readonly mailboxes: MailboxCapacities;
  /**
   * How much one turn takes before it yields so that sockets are read.
   *
   * @default 2,048 posts or 1 MiB
   */
  readonly turn: { readonly commands: number; readonly bytes: number };
  /**
   * How long an unused empty room stays in memory, in milliseconds.
   *
   * @default 60,000
   */
  readonly roomIdle: number;
  /**
   * The most that a coalescing room holds back, whatever its own setting.
   *
   * @default 1,024 records or 64 KiB
   */
  readonly hold: LogLimits;
  /**
   * A room's coalescing. Undefined sends each turn's records at once. Called when the room comes
   * into memory.
   *
   * @default undefined for every room
   */
  readonly coalesce: (room: string) => Coalesce | undefined;
  /**
   * A room's policy for slow consumers. Called when the room comes into memory.
   *
   * @default 'evict' for every room
   */
  readonly slow: (room: string) => SlowPolicy;
  /**
   * How long the ids of a room's messages are remembered.
   *
   * @default 300,000 ms or 65,536 messages
   */
  readonly dedupe: DedupeLimits;
  /**
   * The largest room whose members are named in presence notices. Larger rooms get the count.
   *
   * @default 1,000
   */
  readonly namedMembers: number;
}

/** The settings that differ from their defaults. */
export type HubOverrides = Partial<Omit<HubSettings, 'sendBuffer' | 'mailboxes'>> & {
  readonly sendBuffer?: Partial<LogLimits>;
  readonly mailboxes?: Partial<MailboxCapacities>;
};

const MiB = 1024 * 1024;
const MAILBOX = 65_536;

/**
 * Returns the settings with their defaults.
 *
 * @throws RangeError for a number that is not positive.
 */
export function hubSettings(given: HubOverrides = {}): HubSettings {
  const sendBuffer = { records: 4096, bytes: 4 * MiB, ...given.sendBuffer };
  const window = given.window ?? { records: 8192, bytes: 8 * MiB };
  const turn = given.turn ?? { commands: 2048, bytes: MiB };
  const hold = given.hold ?? { records: 1024, bytes: 64 * 1024 };
  const mailboxes = { register: MAILBOX, unregister: MAILBOX, broadcast: MAILBOX, request: MAILBOX };
  const settings: HubSettings = {
    sendBuffer,
    // A member is evicted before the log drops what it lacks: the window holds the send buffer, two
    // turns and a hold.
    window: {
      records: Math.max(window.records, sendBuffer.records + 2 * turn.commands + hold.records),
      bytes: Math.max(window.bytes, sendBuffer.bytes + 4 * turn.bytes + hold.bytes),
    },
    mailboxes: { ...mailboxes, ...given.mailboxes },
    turn,
    hold,
    roomIdle: given.roomIdle ?? 60_000,
    coalesce: given.coalesce ?? (() => undefined),
    slow: given.slow ?? (() => 'evict'),
    dedupe: given.dedupe ?? defaultDedupeLimits,
    namedMembers: given.namedMembers ?? 1000,
  };
  const numbers = [sendBuffer, window, hold].flatMap(({ records, bytes }) => [records, bytes]);
  numbers.push(turn.commands, turn.bytes, settings.roomIdle, ...Object.values(settings.mailboxes));
  for (const n of numbers) if (!(n > 0)) throw new RangeError(`hub settings must be positive numbers, got ${n}`);
  return settings;
}
