import type { AuthenticationKind, LifeEvent, RoundTrips } from '../protocol/session-life.ts';
import type { ErrorCode } from '../protocol/v1.ts';

/** The events that a record keeps: a further one overwrites the oldest. */
export const EVENTS = 8;

/** The round trips that a record keeps beside the shortest and the longest. */
export const ROUND_TRIPS = 5;

/** A parked span that follows another of its room within so many milliseconds continues it. */
export const SPAN_BREAK_MS = 1_000;

// A record in words of 32 bits: when it was opened (two words), how many events it has had, the
// verdict, the number of round trips, the time of the last, the shortest and the longest (16 bits
// each), the round trips (the gap to the one before in tenths of a second, and the milliseconds, 16
// bits each), then the events. Times of events are in milliseconds since it was opened.
const COUNT = 2;
const VERDICT = 3;
const TRIPS = 4;
const LAST_TRIP = 5;
const EXTREMES = 6;
const TRIP = 7;
const EVENT = TRIP + ROUND_TRIPS;

// An event in words: its time, its kind (8 bits) and a detail (24 bits), the hash of its room, and
// a duration in milliseconds. An open span has `OPEN` as its duration.
const EVENT_WORDS = 4;
const WORDS = EVENT + EVENTS * EVENT_WORDS;

const OPEN = 0xffffffff;
const MAX_TIME = 0xfffffffe;
const MAX_DETAIL = 0xffffff;
const MAX_SHORT = 0xffff;

// So many records are allocated at once.
const SLAB = 256;

const JOINED = 1;
const LEFT = 2;
const PARKED = 3;
/** The kinds from here on are errors, in the order of `ERRORS`. */
const REFUSED = 16;

const AUTHENTICATIONS: readonly AuthenticationKind[] = ['none', 'token', 'ticket', 'password', 'session', 'hook'];
const RESUMED = 0x100;
const REPORTED = 0x200;

/** The verdict of a handshake. */
interface Verdict {
  readonly authentication: AuthenticationKind;
  readonly resumed: boolean;
}

/** Records of connections, of a fixed size each, in slabs that all connections share. */
export class Records {
  readonly #errors: readonly ErrorCode[];
  readonly #slabs: Uint32Array[] = [];
  /** The times of opening have 64 bits: these are the same slabs. */
  readonly #times: Float64Array[] = [];
  /** The first free record; the first word of each has the next. */
  #free = -1;

  /** @param errors all codes: a record has their index. */
  constructor(errors: readonly ErrorCode[]) {
    this.#errors = errors;
  }

  /** Takes a record. @param now by a clock, in milliseconds. @returns its index. */
  open(now: number, { authentication, resumed }: Verdict): number {
    if (this.#free < 0) this.#grow();
    const index = this.#free;
    const [slab, at] = this.#at(index);
    this.#free = (slab[at] as number) - 1;
    slab.fill(0, at, at + WORDS);
    (this.#times[Math.floor(index / SLAB)] as Float64Array)[at / 2] = now;
    slab[at + VERDICT] = AUTHENTICATIONS.indexOf(authentication) | (resumed ? RESUMED : 0);
    return index;
  }

  /** Gives a record back. */
  free(index: number): void {
    const [slab, at] = this.#at(index);
    slab[at] = this.#free + 1;
    this.#free = index;
  }

  joined(index: number, now: number, room: number): void {
    this.#add(index, now, JOINED, room);
  }

  left(index: number, now: number, room: number): void {
    this.#close(index, now, room);
    this.#add(index, now, LEFT, room);
  }

  /** A span starts, or goes on: `behind` is the most of all. */
  parked(index: number, now: number, room: number, behind: number): void {
    const [slab] = this.#at(index);
    const time = this.#since(index, now);
    const span = this.#newest(index, PARKED, room);
    if (span >= 0) {
      const duration = slab[span + 3] as number;
      if (duration === OPEN || time - ((slab[span] as number) + duration) < SPAN_BREAK_MS) {
        slab[span + 3] = OPEN;
        this.#raise(slab, span, behind);
        return;
      }
    }
    const added = this.#add(index, now, PARKED, room);
    slab[added + 3] = OPEN;
    this.#raise(slab, added, behind);
  }

  /** Notes how far behind an open span is. Does nothing without one. */
  fellBehind(index: number, room: number, behind: number): void {
    const [slab] = this.#at(index);
    const span = this.#newest(index, PARKED, room);
    if (span >= 0 && slab[span + 3] === OPEN) this.#raise(slab, span, behind);
  }

  caughtUp(index: number, now: number, room: number): void {
    this.#close(index, now, room);
  }

  /** The same error in the same room is one event, which counts. */
  refused(index: number, now: number, code: ErrorCode, room: number): void {
    const [slab] = this.#at(index);
    const kind = REFUSED + this.#errors.indexOf(code);
    const existing = this.#newest(index, kind, room);
    const event = existing >= 0 ? existing : this.#add(index, now, kind, room);
    const count = Math.min(detailOf(slab, event) + 1, MAX_DETAIL);
    slab[event + 1] = (kind | (count << 8)) >>> 0;
    slab[event + 3] = this.#since(index, now) - (slab[event] as number);
  }

  roundTrip(index: number, now: number, ms: number): void {
    const [slab, at] = this.#at(index);
    const count = slab[at + TRIPS] as number;
    const time = this.#since(index, now);
    const short = Math.min(Math.max(Math.round(ms), 0), MAX_SHORT);
    const extremes = slab[at + EXTREMES] as number;
    const min = count === 0 ? short : Math.min(extremes & MAX_SHORT, short);
    const max = count === 0 ? short : Math.max(extremes >>> 16, short);
    const gap = Math.min(Math.round((time - (slab[at + LAST_TRIP] as number)) / 100), MAX_SHORT);
    slab[at + EXTREMES] = (min | (max << 16)) >>> 0;
    slab[at + TRIP + (count % ROUND_TRIPS)] = (short | (gap << 16)) >>> 0;
    slab[at + LAST_TRIP] = time;
    slab[at + TRIPS] = count + 1;
  }

  /** Notes that the connection has sent its report. @returns false if it had before. */
  takeReport(index: number): boolean {
    const [slab, at] = this.#at(index);
    const word = slab[at + VERDICT] as number;
    slab[at + VERDICT] = word | REPORTED;
    return (word & REPORTED) === 0;
  }

  openedAt(index: number): number {
    const [, at] = this.#at(index);
    return (this.#times[Math.floor(index / SLAB)] as Float64Array)[at / 2] as number;
  }

  verdict(index: number): Verdict {
    const [slab, at] = this.#at(index);
    const word = slab[at + VERDICT] as number;
    return {
      authentication: AUTHENTICATIONS[word & 0xff] as AuthenticationKind,
      resumed: (word & RESUMED) !== 0,
    };
  }

  /** Returns the hashes of the rooms in the events that are kept. */
  rooms(index: number): ReadonlySet<number> {
    const [slab] = this.#at(index);
    const rooms = this.#offsets(index).map((event) => slab[event + 2] as number);
    return new Set(rooms.filter((room) => room !== 0));
  }

  /**
   * Returns the events, oldest first, and how many were overwritten.
   *
   * @param dateOf turns a time of the clock into one since 1970.
   * @param nameOf returns the name of the room with a hash, if it is known.
   */
  events(
    index: number,
    dateOf: (time: number) => number,
    nameOf: (room: number) => string | undefined,
  ): { readonly events: readonly LifeEvent[]; readonly forgotten: number } {
    const [slab, at] = this.#at(index);
    const opened = this.openedAt(index);
    const events = this.#offsets(index).map((event): LifeEvent => {
      const [time, word, room, duration] = slab.subarray(event, event + EVENT_WORDS) as unknown as number[];
      const kind = (word as number) & 0xff;
      const detail = (word as number) >>> 8;
      const date = dateOf(opened + (time as number));
      const name = room === 0 ? undefined : nameOf(room as number);
      const named = name === undefined ? {} : { room: name };
      const until = duration === OPEN ? {} : { until: date + (duration as number) };
      if (kind === PARKED) return { kind: 'parked', at: date, behind: detail, ...until, ...named };
      if (kind === JOINED || kind === LEFT) return { kind: kind === JOINED ? 'joined' : 'left', at: date, ...named };
      const code = this.#errors[kind - REFUSED] as ErrorCode;
      return { kind: 'refused', at: date, last: date + (duration as number), code, count: detail, ...named };
    });
    return { events, forgotten: (slab[at + COUNT] as number) - events.length };
  }

  /** @param dateOf turns a time of the clock into one since 1970. */
  roundTrips(index: number, dateOf: (time: number) => number): RoundTrips | undefined {
    const [slab, at] = this.#at(index);
    const count = slab[at + TRIPS] as number;
    if (count === 0) return undefined;
    const opened = this.openedAt(index);
    const extremes = slab[at + EXTREMES] as number;
    const last: { at: number; ms: number }[] = [];
    let time = slab[at + LAST_TRIP] as number;
    for (let i = count - 1; i >= Math.max(0, count - ROUND_TRIPS); i--) {
      const trip = slab[at + TRIP + (i % ROUND_TRIPS)] as number;
      last.unshift({ at: dateOf(opened + Math.max(0, time)), ms: trip & MAX_SHORT });
      time -= (trip >>> 16) * 100;
    }
    return { count, min: extremes & MAX_SHORT, max: extremes >>> 16, last };
  }

  /** @returns the words of an event, as an offset in its slab. */
  #add(index: number, now: number, kind: number, room: number): number {
    const [slab, at] = this.#at(index);
    const count = slab[at + COUNT] as number;
    const event = at + EVENT + (count % EVENTS) * EVENT_WORDS;
    slab[at + COUNT] = count + 1;
    slab[event] = this.#since(index, now);
    slab[event + 1] = kind;
    slab[event + 2] = room;
    slab[event + 3] = 0;
    return event;
  }

  /** Ends the open span of a room. */
  #close(index: number, now: number, room: number): void {
    const [slab] = this.#at(index);
    const span = this.#newest(index, PARKED, room);
    if (span >= 0 && slab[span + 3] === OPEN) slab[span + 3] = this.#since(index, now) - (slab[span] as number);
  }

  /** Returns the offset of the newest event of a kind in a room, or -1. */
  #newest(index: number, kind: number, room: number): number {
    const [slab, at] = this.#at(index);
    const count = slab[at + COUNT] as number;
    for (let i = count - 1; i >= Math.max(0, count - EVENTS); i--) {
      const event = at + EVENT + (i % EVENTS) * EVENT_WORDS;
      if (((slab[event + 1] as number) & 0xff) === kind && slab[event + 2] === room) return event;
    }
    return -1;
  }

  /** Returns the offsets of the events, the oldest first. */
  #offsets(index: number): number[] {
    const [slab, at] = this.#at(index);
    const count = slab[at + COUNT] as number;
    const kept = Math.min(count, EVENTS);
    return Array.from({ length: kept }, (_, i) => at + EVENT + ((count - kept + i) % EVENTS) * EVENT_WORDS);
  }

  #raise(slab: Uint32Array, span: number, behind: number): void {
    const most = Math.min(Math.max(detailOf(slab, span), behind), MAX_DETAIL);
    slab[span + 1] = (PARKED | (most << 8)) >>> 0;
  }

  #since(index: number, now: number): number {
    return Math.min(Math.max(Math.round(now - this.openedAt(index)), 0), MAX_TIME);
  }

  #at(index: number): readonly [slab: Uint32Array, offset: number] {
    return [this.#slabs[Math.floor(index / SLAB)] as Uint32Array, (index % SLAB) * WORDS];
  }

  #grow(): void {
    const slab = new Uint32Array(SLAB * WORDS);
    const first = this.#slabs.push(slab) * SLAB - SLAB;
    this.#times.push(new Float64Array(slab.buffer));
    // The record with the lowest index is taken first.
    for (let i = SLAB - 1; i >= 0; i--) this.free(first + i);
  }
}

function detailOf(slab: Uint32Array, event: number): number {
  return (slab[event + 1] as number) >>> 8;
}
