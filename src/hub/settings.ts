import type { Window } from './log.ts';
import type { Dedupe } from './sends.ts';

/** How a busy room trades a little delay for fewer, larger frames. */
export interface Coalesce {
  /** Longest that a record waits for others, in milliseconds. */
  readonly maxDelayMs: number;
  /** Bytes that are sent at once however short they waited. */
  readonly maxBytes: number;
}

/** What becomes of a member that falls further behind than the send buffer: it is closed, it is told of a gap and goes on at the head, or it gets only the newest. */
export type SlowPolicy = 'evict' | 'skip' | 'latest';

export interface HubSettings {
  /** How far a member may stand behind its room's head before it is evicted. */
  readonly sendBuffer: Window;
  /** How much of each room's log stays in memory: more than the send buffer. */
  readonly window: Window;
  /** How many posts wait in each mailbox before the next is refused. */
  readonly mailboxes: { readonly register: number; readonly unregister: number; readonly broadcast: number };
  /** How much one turn takes before it yields so that sockets are read. */
  readonly turn: { readonly commands: number; readonly bytes: number };
  /** How long an empty room stays in memory, in milliseconds. */
  readonly roomIdle: number;
  /** What a coalescing room holds back at most, whatever its own setting. */
  readonly hold: Window;
  /** A room's coalescing; undefined sends each turn's records at once. */
  readonly coalesce: (room: string) => Coalesce | undefined;
  /** A room's way with slow members. */
  readonly slow: (room: string) => SlowPolicy;
  /** How long senders' ids are remembered. */
  readonly dedupe: Dedupe;
  /** Most members of a room that are named; above it there is only their number. */
  readonly namedMembers: number;
}

const MiB = 1024 * 1024;

/** The settings with their defaults. @throws RangeError for a number that is not positive. */
export function hubSettings(given: Partial<HubSettings> = {}): HubSettings {
  const sendBuffer = given.sendBuffer ?? { records: 4096, bytes: 4 * MiB };
  const window = given.window ?? { records: 8192, bytes: 8 * MiB };
  const turn = given.turn ?? { commands: 2048, bytes: MiB };
  const hold = given.hold ?? { records: 1024, bytes: 64 * 1024 };
  const settings: HubSettings = {
    sendBuffer,
    // What one turn and a hold may add must fit beside what a member may lack: it is evicted before the log drops it.
    window: {
      records: Math.max(window.records, sendBuffer.records + 2 * turn.commands + hold.records),
      bytes: Math.max(window.bytes, sendBuffer.bytes + 4 * turn.bytes + hold.bytes),
    },
    mailboxes: given.mailboxes ?? { register: 65_536, unregister: 65_536, broadcast: 65_536 },
    turn,
    hold,
    roomIdle: given.roomIdle ?? 60_000,
    coalesce: given.coalesce ?? (() => undefined),
    slow: given.slow ?? (() => 'evict'),
    dedupe: given.dedupe ?? { ms: 300_000, messages: 65_536 },
    namedMembers: given.namedMembers ?? 1000,
  };
  const { mailboxes } = settings;
  const numbers = [sendBuffer.records, sendBuffer.bytes, window.records, window.bytes, turn.commands];
  for (const n of [...numbers, turn.bytes, hold.records, hold.bytes, settings.roomIdle, ...Object.values(mailboxes)]) {
    if (!(n > 0)) throw new RangeError(`hub settings must be positive numbers, got ${n}`);
  }
  return settings;
}
