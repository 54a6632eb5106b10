import type { Eviction, HotRoom, Snapshot, ThreadSnapshot, Totals } from '../../../src/protocol/snapshot.ts';

export const NO_TOTALS: Totals = {
  turns: 0,
  turnMs: 0,
  messages: 0,
  batches: 0,
  frames: 0,
  deliveries: 0,
  connects: 0,
  closes: 0,
  evictions: 0,
  refusals: 0,
  overloads: 0,
};

/** Returns a snapshot of a thread that has done nothing, with changes. */
export function threadWith(changes: Partial<ThreadSnapshot> = {}): ThreadSnapshot {
  const mailbox = { posts: 0, capacity: 65_536 };
  return {
    worker: 0,
    connections: 0,
    rooms: 0,
    mailboxes: { register: mailbox, unregister: mailbox, broadcast: mailbox, request: mailbox },
    members: { inStep: 0, parked: 0, catchingUp: 0 },
    lag: { bounds: [0, 1, 10, 100, 1000, 4096, 10_000], counts: [0, 0, 0, 0, 0, 0, 0, 0] },
    turns: { bounds: [1, 10, 100], counts: [0, 0, 0, 0] },
    sends: { bounds: [1, 10, 100], counts: [0, 0, 0, 0] },
    load: { loop: 0, turn: 0, mailboxes: 0, journal: 0 },
    memory: { rss: 100 * 1024 * 1024, heap: 20 * 1024 * 1024 },
    totals: NO_TOTALS,
    ...changes,
  };
}

/** Returns the snapshot of a second, with changes. */
export function snapshotAt(second: number, changes: Partial<Snapshot> = {}): Snapshot {
  return {
    at: Date.UTC(2026, 0, 1) + 1000 * second,
    elapsed: 1000,
    version: '0.1.0',
    state: 'serving',
    engine: 'memory',
    uptime: 60 + second,
    missing: 0,
    threads: [threadWith()],
    shared: { rooms: 0, messages: 0, batches: 0 },
    hottest: [],
    evictions: [],
    ...changes,
  };
}

/** Names that clients can choose, and that a page must not believe. */
export const HOSTILE_NAMES = [
  '<img src=x onerror="document.title=1">',
  '\u202egnitrever',
  'tab\tand\u0000null\nnew line',
  'w'.repeat(128),
  '\u0301'.repeat(60),
  '\u2066isolated',
  '\ud83d\ude80'.repeat(32),
  'two\u2028lines',
];

export function hotRooms(names: readonly string[]): HotRoom[] {
  return names.map((name, i) => ({
    name,
    members: 10 + i,
    messages: 100 - i,
    seq: 1000,
    parked: i,
    catchingUp: 1,
    maxLag: 10 * i,
  }));
}

export function evictionsOf(users: readonly string[], at = Date.UTC(2026, 0, 1)): Eviction[] {
  return users.map((user, i) => ({
    id: users.length - i,
    at,
    session: i % 2 === 0 ? 'abcdefgh_-345678' : '17',
    user,
    room: user,
    reason: (['too_far_behind', 'write_timeout', 'other'] as const)[i % 3] as Eviction['reason'],
    records: 300 + i,
  }));
}

/** Returns snapshots of a server whose every panel is to be acted on. */
export function troubledSnapshot(second: number): Snapshot {
  const threads = [1, 2].map((worker) =>
    threadWith({
      worker,
      connections: 50_000,
      rooms: 1_000,
      members: { inStep: 20_000, parked: 20_000, catchingUp: 10_000 },
      mailboxes: {
        register: { posts: 65_536, capacity: 65_536 },
        unregister: { posts: 12, capacity: 65_536 },
        broadcast: { posts: 40_000, capacity: 65_536 },
        request: { posts: 8_000, capacity: 65_536 },
      },
      lag: { bounds: [0, 1, 10, 100, 1000, 4096, 10_000], counts: [20_000, 10, 500, 4000, 9000, 12_000, 4000, 490] },
      turns: { bounds: [1, 10, 100], counts: [second, second, second, 10 * second] },
      sends: { bounds: [1, 10, 100], counts: [second, second, second, 10 * second] },
      load: { loop: 0.98, turn: 0.9, mailboxes: 1, journal: 0.7 },
      totals: {
        turns: 13 * second,
        turnMs: 900 * second,
        messages: 123_456 * second,
        batches: 13 * second,
        frames: 1_234_567 * second,
        deliveries: 12_345_678 * second,
        connects: 100 * second,
        closes: 100 * second,
        evictions: 20 * second,
        refusals: 200 * second,
        overloads: 5000 * second,
      },
    }),
  );
  return snapshotAt(second, {
    state: 'engine_away',
    engine: 'redis',
    missing: 1,
    threads,
    shared: { rooms: 2000, messages: 123_456 * second, batches: 20 * second },
    hottest: hotRooms([...HOSTILE_NAMES, ...Array.from({ length: 42 }, (_, i) => `room ${i}`)]),
    evictions: evictionsOf([...HOSTILE_NAMES, 'ada', 'bob']),
  });
}
