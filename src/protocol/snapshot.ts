/** Counts of values in buckets. The last bucket has no upper bound. */
export interface Histogram {
  /** Upper bounds, ascending. */
  readonly bounds: readonly number[];
  /** One more than the bounds, without the counts of lower buckets. */
  readonly counts: readonly number[];
}

/** The posts that wait in a mailbox, and how many it holds. */
export interface MailboxLevel {
  readonly posts: number;
  readonly capacity: number;
}

/** What has been counted since the thread started. It never decreases. */
export interface Totals {
  readonly turns: number;
  /** Milliseconds spent in turns. */
  readonly turnMs: number;
  /** Messages committed to rooms of this thread. One may be in rooms of several threads. */
  readonly messages: number;
  /** Batches of those messages. */
  readonly batches: number;
  /** Frames of records handed to sockets. */
  readonly frames: number;
  /** Records handed to sockets: a message to ten members counts ten times. */
  readonly deliveries: number;
  readonly connects: number;
  readonly closes: number;
  readonly evictions: number;
  readonly refusals: number;
  readonly overloads: number;
}

/** One thread that serves connections: the only one, or a worker. */
export interface ThreadSnapshot {
  /** The worker's number, or 0 for the only thread. */
  readonly worker: number;
  readonly connections: number;
  /** Rooms in memory. */
  readonly rooms: number;
  readonly mailboxes: Readonly<Record<'register' | 'unregister' | 'broadcast' | 'request', MailboxLevel>>;
  readonly members: { readonly inStep: number; readonly parked: number; readonly catchingUp: number };
  /** Messages that each member is behind now. */
  readonly lag: Histogram;
  /** Durations of turns so far, in milliseconds. */
  readonly turns: Histogram;
  /** Times from a send to its commit so far, in milliseconds. */
  readonly sends: Histogram;
  /** Share of each resource in use since the last snapshot, from 0 to 1. */
  readonly load: { readonly loop: number; readonly turn: number; readonly mailboxes: number; readonly journal: number };
  /** Bytes. `rss` is that of the process. */
  readonly memory: { readonly rss: number; readonly heap: number };
  readonly totals: Totals;
}

/** What the threads share, so that it is not the sum of theirs. */
export interface SharedCounts {
  /** Rooms in memory. */
  readonly rooms: number;
  /** Messages committed so far. */
  readonly messages: number;
  /** Batches of messages committed so far. */
  readonly batches: number;
}

/** A room that was busy since the last snapshot. */
export interface HotRoom {
  readonly name: string;
  readonly members: number;
  /** Messages since the last snapshot. */
  readonly messages: number;
  /** The number of its last message. */
  readonly seq: number;
  readonly parked: number;
  readonly catchingUp: number;
  /** Messages that its slowest member is behind. */
  readonly maxLag: number;
}

/** A slow consumer that was closed. */
export interface Eviction {
  /** Counts the evictions of the process: a viewer that has seen it passes it over. */
  readonly id: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly session: string;
  readonly user: string;
  readonly room: string;
  readonly reason: 'too_far_behind' | 'write_timeout' | 'other';
  /** Messages that it was behind. */
  readonly records: number;
}

/** What a process's Hub does, as the admin listener reports it once a second. */
export interface Snapshot {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Milliseconds since the last snapshot, or since the start for the first one. */
  readonly elapsed: number;
  readonly version: string;
  readonly state: 'serving' | 'draining' | 'engine_away';
  /** The engine's name. */
  readonly engine: string;
  /** Seconds since the start. */
  readonly uptime: number;
  /** Workers that have not answered in time. Their threads are missing. */
  readonly missing: number;
  readonly threads: readonly ThreadSnapshot[];
  /** Rooms and messages of the process. */
  readonly shared: SharedCounts;
  /** The 50 rooms with the most deliveries since the last snapshot, the busiest first. */
  readonly hottest: readonly HotRoom[];
  /** The last 50 evictions, the newest first. */
  readonly evictions: readonly Eviction[];
}
