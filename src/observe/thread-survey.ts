import type { Events } from '../hub/events.ts';
import type { BusyRoom, Survey } from '../hub/survey.ts';
import type { Eviction, Histogram, MailboxLevel, ThreadSnapshot, Totals } from '../protocol/snapshot.ts';
import type { Buckets } from './distribution.ts';
import { type HeadroomReadings, type Loads, loadReader } from './headroom.ts';
import { evictionReason, type HubReadings, mailboxes } from './hub-metrics.ts';

/** Current values of a thread's Hub, read for each snapshot. */
export interface SurveyReadings extends Omit<HubReadings, 'census' | 'ready'>, HeadroomReadings {
  readonly meter: HubReadings['meter'] &
    HeadroomReadings['meter'] & { readonly frames: number; readonly deliveries: number };
  survey(): Promise<Survey>;
}

/** A thread's part of a snapshot, which can be cloned to another thread. */
export interface ThreadSurvey {
  readonly thread: ThreadSnapshot;
  readonly busiest: readonly BusyRoom[];
  readonly evictions: ThreadEvictions;
}

/** The evictions of a thread. */
export interface ThreadEvictions {
  /** How many there have been. */
  readonly count: number;
  /** The last of them, the oldest first. */
  readonly last: readonly Omit<Eviction, 'id'>[];
}

/** How many evictions are kept. */
export const LAST_EVICTIONS = 50;

/** Surveys a thread that serves connections: its Hub, its loads and its memory. */
export class ThreadSurveyor {
  readonly #worker: number;
  readonly #readings: SurveyReadings;
  readonly #readLoads: () => Loads;
  readonly #last: Omit<Eviction, 'id'>[] = [];
  #connects = 0;
  #closes = 0;
  #evictions = 0;
  #refusals = 0;
  #overloads = 0;

  /**
   * @param worker its number, or 0 for the only thread.
   * @param date returns milliseconds since 1970.
   */
  constructor(worker: number, events: Events, readings: SurveyReadings, date: () => number) {
    this.#worker = worker;
    this.#readings = readings;
    this.#readLoads = loadReader(readings);
    this.#count(events, date);
  }

  /** Visits every member. Its loads and busy rooms are those since the last call. */
  async survey(): Promise<ThreadSurvey> {
    const { inStep, parked, catchingUp, lag, busiest } = await this.#readings.survey();
    const { connections, rooms, meter } = this.#readings;
    const thread: ThreadSnapshot = {
      worker: this.#worker,
      connections: connections(),
      rooms: rooms(),
      mailboxes: this.#mailboxes(),
      members: { inStep, parked, catchingUp },
      lag: histogramOf(lag),
      turns: histogramOf(meter.turns),
      sends: histogramOf(meter.sends),
      load: { journal: 0, ...this.#readLoads() },
      memory: { rss: process.memoryUsage.rss(), heap: process.memoryUsage().heapUsed },
      totals: this.#totals(),
    };
    return { thread, busiest, evictions: { count: this.#evictions, last: [...this.#last] } };
  }

  #count(events: Events, date: () => number): void {
    events.on('connected', () => this.#connects++);
    events.on('disconnected', () => this.#closes++);
    events.on('refused', () => this.#refusals++);
    events.on('overloaded', () => this.#overloads++);
    events.on('evicted', ({ client, user, room, records, why }) => {
      this.#evictions++;
      this.#last.push({ at: date(), session: client, user, room, reason: evictionReason(why), records });
      if (this.#last.length > LAST_EVICTIONS) this.#last.shift();
    });
  }

  #mailboxes(): ThreadSnapshot['mailboxes'] {
    const { mailbox, capacity } = this.#readings;
    const level = (name: (typeof mailboxes)[number]): MailboxLevel => ({
      posts: mailbox(name),
      capacity: capacity(name),
    });
    const [register, unregister, broadcast, request] = mailboxes;
    return {
      register: level(register),
      unregister: level(unregister),
      broadcast: level(broadcast),
      request: level(request),
    };
  }

  #totals(): Totals {
    const { meter, messages, batches } = this.#readings;
    const { turns, frames, deliveries } = meter;
    return {
      turns: countOf(turns),
      turnMs: turns.sum,
      messages: messages(),
      batches: batches(),
      frames,
      deliveries,
      connects: this.#connects,
      closes: this.#closes,
      evictions: this.#evictions,
      refusals: this.#refusals,
      overloads: this.#overloads,
    };
  }
}

function histogramOf({ bounds, counts }: Buckets): Histogram {
  return { bounds, counts: Array.from(counts) };
}

function countOf({ counts }: Buckets): number {
  let sum = 0;
  for (let i = 0; i < counts.length; i++) sum += counts[i] as number;
  return sum;
}
