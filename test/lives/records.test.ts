import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EVENTS, Records, ROUND_TRIPS, SPAN_BREAK_MS } from '../../src/lives/records.ts';
import type { LifeEvent } from '../../src/protocol/session-life.ts';
import { type ErrorCode, errors } from '../../src/protocol/v1.ts';

const codes = Object.keys(errors) as ErrorCode[];
const ROOMS = ['lobby', 'red', 'blue'];

type Step =
  | { readonly kind: 'joined' | 'left' | 'caughtUp'; readonly room: number }
  | { readonly kind: 'parked' | 'fellBehind'; readonly room: number; readonly behind: number }
  | { readonly kind: 'refused'; readonly room: number; readonly code: ErrorCode }
  | { readonly kind: 'roundTrip'; readonly ms: number };

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Span = Mutable<Extract<LifeEvent, { kind: 'parked' }>>;

/** What a record should hold: a plain list, of which the last events are kept. */
class Model {
  readonly #openedAt: number;
  readonly all: Mutable<LifeEvent>[] = [];
  readonly trips: { at: number; ms: number }[] = [];

  constructor(openedAt: number) {
    this.#openedAt = openedAt;
  }

  get kept(): LifeEvent[] {
    return this.all.slice(-EVENTS);
  }

  apply(step: Step, now: number): void {
    const at = Math.round(now - this.#openedAt) + this.#openedAt;
    if (step.kind === 'roundTrip') {
      this.trips.push({ at, ms: step.ms });
      return;
    }
    const room = step.room === 0 ? undefined : ROOMS[step.room - 1];
    const named = room === undefined ? {} : { room };
    const newest = (kind: LifeEvent['kind'], code?: ErrorCode) =>
      this.kept.findLast(
        (event) => event.kind === kind && event.room === room && (event as { code?: string }).code === code,
      );
    const span = newest('parked') as Span | undefined;
    const isOpen = span !== undefined && span.until === undefined;
    if (step.kind === 'refused') {
      const refused = newest('refused', step.code) as Mutable<Extract<LifeEvent, { kind: 'refused' }>> | undefined;
      if (refused) Object.assign(refused, { last: at, count: refused.count + 1 });
      else this.all.push({ kind: 'refused', at, last: at, code: step.code, count: 1, ...named });
    } else if (step.kind === 'joined') this.all.push({ kind: 'joined', at, ...named });
    else if (step.kind === 'left' || step.kind === 'caughtUp') {
      if (isOpen) span.until = at;
      if (step.kind === 'left') this.all.push({ kind: 'left', at, ...named });
    } else if (step.kind === 'fellBehind') {
      if (isOpen) span.behind = Math.max(span.behind, step.behind);
    } else if (step.kind === 'parked') {
      if (span && (isOpen || at - (span.until as number) < SPAN_BREAK_MS)) {
        delete span.until;
        span.behind = Math.max(span.behind, step.behind);
      } else this.all.push({ kind: 'parked', at, behind: step.behind, ...named });
    }
  }
}

const room = fc.nat(ROOMS.length);
const behind = fc.nat(5000);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom('joined' as const, 'left' as const, 'caughtUp' as const), room }),
  fc.record({ kind: fc.constantFrom('parked' as const, 'fellBehind' as const), room, behind }),
  fc.record({ kind: fc.constant('refused' as const), room, code: fc.constantFrom(...codes.slice(0, 3)) }),
  fc.record({ kind: fc.constant('roundTrip' as const), ms: fc.nat(70_000) }),
);

function take(records: Records, index: number, now: number, step: Step): void {
  if (step.kind === 'roundTrip') records.roundTrip(index, now, step.ms);
  else if (step.kind === 'parked') records.parked(index, now, step.room, step.behind);
  else if (step.kind === 'fellBehind') records.fellBehind(index, step.room, step.behind);
  else if (step.kind === 'refused') records.refused(index, now, step.code, step.room);
  else records[step.kind](index, now, step.room);
}

const nameOf = (hash: number) => ROOMS[hash - 1];
const same = (time: number) => time;

test('keeps the last events of each connection, as a simple list would', () => {
  const steps = fc.array(fc.tuple(fc.nat(2), fc.nat(3000), step), { maxLength: 80 });
  fc.assert(
    fc.property(steps, (steps) => {
      const records = new Records(codes);
      const verdict = { authentication: 'token', resumed: true } as const;
      let now = 5_000;
      const lives = [0, 1, 2].map((i) => ({ index: records.open(now + i, verdict), model: new Model(now + i) }));
      now += 10;
      for (const [which, ms, step] of steps) {
        now += ms;
        const { index, model } = lives[which] as (typeof lives)[0];
        take(records, index, now, step);
        model.apply(step, now);
      }
      for (const { index, model } of lives) {
        const { events, forgotten } = records.events(index, same, nameOf);
        expect(events).toEqual(model.kept);
        expect(forgotten).toBe(model.all.length - model.kept.length);
        expect(records.verdict(index)).toEqual(verdict);
        const trips = records.roundTrips(index, same);
        const times = model.trips.map(({ ms }) => Math.min(ms, 0xffff));
        expect(trips?.count ?? 0).toBe(times.length);
        if (!trips) continue;
        expect([trips.min, trips.max]).toEqual([Math.min(...times), Math.max(...times)]);
        expect(trips.last.map(({ ms }) => ms)).toEqual(times.slice(-ROUND_TRIPS));
        expect(trips.last.at(-1)?.at).toBe(model.trips.at(-1)?.at);
      }
    }),
    { numRuns: 150 },
  );
});

test('gives records back, which start empty', () => {
  const records = new Records(codes);
  const guest = { authentication: 'none', resumed: false } as const;
  const first = records.open(1, guest);
  records.joined(first, 2, 1);
  records.roundTrip(first, 3, 3);
  records.takeReport(first);
  const others = Array.from({ length: 600 }, () => records.open(1, guest));
  expect(new Set([first, ...others]).size).toBe(601);
  records.free(first);
  const again = records.open(9, { authentication: 'hook', resumed: true });
  expect(again).toBe(first);
  expect(records.events(again, same, nameOf)).toEqual({ events: [], forgotten: 0 });
  expect(records.roundTrips(again, same)).toBeUndefined();
  expect(records.openedAt(again)).toBe(9);
  expect(records.verdict(again)).toEqual({ authentication: 'hook', resumed: true });
  expect([records.takeReport(again), records.takeReport(again)]).toEqual([true, false]);
});
