import type { LifeRecorder, Living, Standing, Verdict } from '../client/lives.ts';
import type { Clock } from '../hub/time.ts';
import type { Close } from '../protocol/close-codes.ts';
import type { ConnectionLife, EndReport, FoundLives, LifeCursor, LifeEnd } from '../protocol/session-life.ts';
import { type ErrorCode, errors } from '../protocol/v1.ts';
import { Records } from './records.ts';
import { Reports } from './reports.ts';
import { RoomNames } from './room-names.ts';

/**
 * How many closed connections each thread keeps, and how many reports of clients: a later one
 * replaces the oldest. 10,000 take about 5 MB.
 */
export const KEPT = 10_000;

/** The connections of one session or user that an answer has at most, the newest ones. */
const ANSWERED = 50;

// A client may be in 128 rooms. The cursors that are furthest behind are kept.
const CURSORS = 8;

/** Which connections to find. */
export interface LifeQuery {
  readonly by: 'session' | 'user';
  readonly name: string;
}

/** A closed connection. Its record is kept with it. */
interface Closed {
  readonly id: string;
  readonly user: string;
  readonly wire: string;
  readonly address: string;
  readonly record: number;
  /** The rooms of its events that are known by name. */
  readonly rooms: readonly string[];
  readonly cursors: readonly LifeCursor[];
  /** By the clock. */
  readonly at: number;
  readonly close: Close;
  readonly by: 'server' | 'peer';
}

/** What is known of a connection from the moment when it leaves its rooms. */
type Leaving = Pick<Closed, 'at' | 'cursors'>;

/**
 * Lives records what happens to the connections of one thread: at most 200 bytes for each open one,
 * and the last `KEPT` closed ones. It has no credentials and no messages.
 */
export class Lives implements LifeRecorder {
  readonly #clock: Clock;
  readonly #kept: number;
  readonly #records = new Records(Object.keys(errors) as ErrorCode[]);
  readonly #names = new RoomNames();
  readonly #reports: Reports;
  /** Connections that have left their rooms and are not closed yet, by record. */
  readonly #leaving = new Map<number, Leaving>();
  /** A ring: the oldest is at `#next` once it is full. */
  readonly #closed: Closed[] = [];
  #next = 0;

  /** @param kept the closed connections and the reports that are kept. @default KEPT */
  constructor(clock: Clock, kept = KEPT) {
    this.#clock = clock;
    this.#kept = kept;
    this.#reports = new Reports(kept);
  }

  opened(verdict: Verdict): number {
    return this.#records.open(this.#clock.now(), verdict);
  }

  joined(life: number, room: string): void {
    this.#records.joined(life, this.#clock.now(), this.#names.add(room));
  }

  left(life: number, room: string): void {
    this.#records.left(life, this.#clock.now(), this.#names.add(room));
  }

  parked(life: number, room: string, behind: number): void {
    this.#records.parked(life, this.#clock.now(), this.#names.add(room), behind);
  }

  drained(life: number, places: readonly Standing[]): void {
    for (const { room, behind } of places) {
      if (behind > 0) this.#records.fellBehind(life, this.#names.hashOf(room.name), behind);
    }
  }

  caughtUp(life: number, room: string): void {
    this.#records.caughtUp(life, this.#clock.now(), this.#names.hashOf(room));
  }

  roundTrip(life: number, ms: number): void {
    this.#records.roundTrip(life, this.#clock.now(), ms);
  }

  refused(life: number, code: ErrorCode, room: string | undefined): void {
    this.#records.refused(life, this.#clock.now(), code, room === undefined ? 0 : this.#names.add(room));
  }

  leaving(life: number, places: readonly Standing[]): void {
    this.drained(life, places);
    this.#leaving.set(life, { at: this.#clock.now(), cursors: cursorsOf(places) });
  }

  closed({ id, user, wire, address, life }: Living, close: Close, by: 'server' | 'peer'): void {
    const { at, cursors } = this.#leaving.get(life) ?? { at: this.#clock.now(), cursors: [] };
    this.#leaving.delete(life);
    const rooms = this.#namesOf(
      life,
      cursors.map(({ room }) => room),
    );
    this.#keep({ id, user, wire: wire.name, address, record: life, rooms, cursors, at, close, by });
  }

  reported({ id, user, life }: Pick<Living, 'id' | 'user' | 'life'>, report: Omit<EndReport, 'at'>): boolean {
    if (life >= 0 && !this.#records.takeReport(life)) return false;
    const over = life < 0 ? {} : { over: this.#dateOf(this.#records.openedAt(life)) };
    this.#reports.add(user, { session: id, report: { at: this.#clock.date(), ...report }, ...over });
    return true;
  }

  /** Finds the newest connections of a session or a user. @param open the open connections. */
  find({ by, name }: LifeQuery, open: Iterable<Living>): FoundLives {
    const found: ConnectionLife[] = [];
    for (const connection of open) {
      const isWanted = (by === 'session' ? connection.id : connection.user) === name && connection.life >= 0;
      if (isWanted) found.push(this.#lifeOf(connection));
    }
    for (const closed of this.#closed) {
      if ((by === 'session' ? closed.id : closed.user) === name) found.push(this.#lifeOfClosed(closed));
    }
    const connections = found.sort((a, b) => b.openedAt - a.openedAt).slice(0, ANSWERED);
    return { connections, reports: this.#reports.find(by, name) };
  }

  #keep(closed: Closed): void {
    const oldest = this.#closed[this.#next];
    if (oldest) this.#records.free(oldest.record);
    this.#closed[this.#next] = closed;
    this.#next = (this.#next + 1) % this.#kept;
  }

  #lifeOf({ id, user, wire, address, life, places }: Living): ConnectionLife {
    const leaving = this.#leaving.get(life);
    const cursors = leaving?.cursors ?? cursorsOf(places);
    const rooms = this.#namesOf(
      life,
      places.map(({ room }) => room.name),
    );
    return this.#life({ id, user, wire: wire.name, address, record: life, rooms, cursors }, undefined);
  }

  #lifeOfClosed(closed: Closed): ConnectionLife {
    const { at, close, by } = closed;
    return this.#life(closed, { at: this.#dateOf(at), code: close.code, reason: close.reason, by });
  }

  #life(
    { id, user, wire, address, record, rooms, cursors }: Omit<Closed, 'at' | 'close' | 'by'>,
    end: LifeEnd | undefined,
  ): ConnectionLife {
    const names = new Map(rooms.map((room) => [this.#names.hashOf(room), room]));
    const dateOf = (time: number) => this.#dateOf(time);
    const roundTrips = this.#records.roundTrips(record, dateOf);
    return {
      session: id,
      user,
      wire,
      remoteAddress: address,
      ...this.#records.verdict(record),
      openedAt: dateOf(this.#records.openedAt(record)),
      ...this.#records.events(record, dateOf, (room) => names.get(room)),
      ...(roundTrips && { roundTrips }),
      cursors,
      ...(end && { end }),
    };
  }

  /** Returns the rooms of a record's events by name, as far as they are known. */
  #namesOf(record: number, current: readonly string[]): readonly string[] {
    const byHash = new Map(current.map((name) => [this.#names.hashOf(name), name]));
    return [...this.#records.rooms(record)].flatMap((hash) => byHash.get(hash) ?? this.#names.find(hash) ?? []);
  }

  #dateOf(time: number): number {
    return Math.round(this.#clock.date() - this.#clock.now() + time);
  }
}

function cursorsOf(places: readonly Standing[]): readonly LifeCursor[] {
  const cursors = places.map(({ room: { name, epoch }, cursor, behind }) => ({
    room: name,
    epoch,
    seq: cursor,
    behind,
  }));
  return cursors.sort((a, b) => b.behind - a.behind).slice(0, CURSORS);
}
