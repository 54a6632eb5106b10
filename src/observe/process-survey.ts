import type { BusyRoom, RoomMembers } from '../hub/survey.ts';
import type { Eviction, HotRoom, SharedCounts, Snapshot, ThreadSnapshot } from '../protocol/snapshot.ts';
import { LAST_EVICTIONS, type ThreadEvictions, type ThreadSurvey } from './thread-survey.ts';

/** A thread that serves connections, as the survey of its process sees it. */
export interface SurveyedThread {
  readonly worker: number;
  /** Resolves with undefined when the thread does not answer in time. */
  survey(): Promise<ThreadSurvey | undefined>;
  /** Returns the members of the rooms that it has in memory; undefined when it does not answer. */
  surveyRooms(names: readonly string[]): Promise<readonly RoomMembers[] | undefined>;
}

/** What a process knows of itself, beside its threads. */
export interface ProcessReadings {
  readonly version: string;
  readonly engine: string;
  state(): Snapshot['state'];
  shared(): SharedCounts;
  /** Share of the journal's limit that is in use. @default the threads' own */
  readonly journal?: (() => number) | undefined;
}

/** Has the two clocks of `Clock`. */
interface Clock {
  now(): number;
  date(): number;
}

const HOTTEST_ROOMS = 50;

/** Computes the snapshots of a process from the surveys of its threads. */
export class ProcessSurveyor {
  readonly #threads: readonly SurveyedThread[];
  readonly #process: ProcessReadings;
  readonly #clock: Clock;
  readonly #evictions = new EvictionLog();
  readonly #startedAt: number;
  #last: number;

  /** @param threads the only one, or the workers. */
  constructor(threads: readonly SurveyedThread[], process: ProcessReadings, clock: Clock) {
    this.#threads = threads;
    this.#process = process;
    this.#clock = clock;
    this.#startedAt = clock.now();
    this.#last = this.#startedAt;
  }

  /** Call it once at a time: each snapshot has the time since the one before. */
  async snapshot(): Promise<Snapshot> {
    const { version, engine } = this.#process;
    const surveys = await Promise.all(this.#threads.map((thread) => thread.survey()));
    const answered = surveys.filter((survey) => survey !== undefined);
    const hottest = await this.#hottest(surveys);
    this.#evictions.add(answered);
    const now = this.#clock.now();
    const elapsed = now - this.#last;
    this.#last = now;
    return {
      at: this.#clock.date(),
      elapsed,
      version,
      state: this.#process.state(),
      engine,
      uptime: (now - this.#startedAt) / 1000,
      missing: surveys.length - answered.length,
      threads: answered.map(({ thread }) => this.#withJournal(thread)),
      shared: this.#process.shared(),
      hottest,
      evictions: this.#evictions.newest(),
    };
  }

  /** The threads name their busiest rooms, and are asked for the members of the others' rooms. */
  async #hottest(surveys: readonly (ThreadSurvey | undefined)[]): Promise<readonly HotRoom[]> {
    const rooms = mergeRooms(surveys.flatMap((survey) => survey?.busiest ?? []));
    const missing = surveys.map((survey) => {
      const named = new Set(survey?.busiest.map(({ name }) => name));
      return survey === undefined ? [] : rooms.filter(({ name }) => !named.has(name)).map(({ name }) => name);
    });
    const answers = await Promise.all(
      missing.map((names, i) => (names.length === 0 ? [] : (this.#threads[i] as SurveyedThread).surveyRooms(names))),
    );
    return withMembers(
      rooms,
      answers.flatMap((answer) => answer ?? []),
    );
  }

  #withJournal(thread: ThreadSnapshot): ThreadSnapshot {
    const { journal } = this.#process;
    return journal === undefined ? thread : { ...thread, load: { ...thread.load, journal: journal() } };
  }
}

/** Merges the rooms of several threads by their names. @returns the busiest, in their order. */
function mergeRooms(rooms: readonly BusyRoom[]): readonly BusyRoom[] {
  const byName = new Map<string, BusyRoom>();
  for (const room of rooms) {
    const other = byName.get(room.name);
    byName.set(room.name, other === undefined ? room : merge(other, room));
  }
  return [...byName.values()]
    .sort((a, b) => b.delivered - a.delivered || b.messages - a.messages)
    .slice(0, HOTTEST_ROOMS);
}

/** Each thread appends every message of the room: those are not added. */
function merge(a: BusyRoom, b: BusyRoom): BusyRoom {
  return {
    ...addMembers(a, b),
    messages: Math.max(a.messages, b.messages),
    seq: Math.max(a.seq, b.seq),
    delivered: a.delivered + b.delivered,
  };
}

function addMembers<R extends RoomMembers>(room: R, { members, parked, catchingUp, maxLag }: RoomMembers): R {
  return {
    ...room,
    members: room.members + members,
    parked: room.parked + parked,
    catchingUp: room.catchingUp + catchingUp,
    maxLag: Math.max(room.maxLag, maxLag),
  };
}

function withMembers(rooms: readonly BusyRoom[], others: readonly RoomMembers[]): readonly HotRoom[] {
  const byName = new Map(rooms.map(({ delivered: _, ...room }) => [room.name, room]));
  for (const other of others) {
    const room = byName.get(other.name);
    if (room !== undefined) byName.set(other.name, addMembers(room, other));
  }
  return [...byName.values()];
}

/** Numbers the evictions of all threads. */
class EvictionLog {
  /** The oldest first. */
  #last: Eviction[] = [];
  #count = 0;
  readonly #counts = new Map<number, number>();

  /** Adds those that the threads have not reported before. */
  add(surveys: readonly ThreadSurvey[]): void {
    const added = surveys.flatMap(({ thread, evictions }) => this.#fresh(thread.worker, evictions));
    for (const eviction of added.sort((a, b) => a.at - b.at)) this.#last.push({ id: ++this.#count, ...eviction });
    this.#last = this.#last.slice(-LAST_EVICTIONS);
  }

  #fresh(worker: number, { count, last }: ThreadEvictions): ThreadEvictions['last'] {
    const fresh = count - (this.#counts.get(worker) ?? 0);
    this.#counts.set(worker, count);
    if (fresh === 0) return [];
    const kept = last.slice(-fresh);
    this.#count += fresh - kept.length; // the thread keeps only its last ones
    return kept;
  }

  newest(): readonly Eviction[] {
    return this.#last.toReversed();
  }
}
