import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Coalesce } from '../../src/hub/settings.ts';
import { openHub } from './harness.ts';

const ROOMS = ['quick', 'slow', 'at-once'];

/** A room whose records are held back until it is full or its oldest record is due. */
class Model {
  readonly delivered: string[] = [];
  readonly #coalesce: Coalesce | undefined;
  readonly #hold: { readonly records: number; readonly bytes: number };
  #held: string[] = [];
  #since = 0;

  constructor(coalesce: Coalesce | undefined, hold: { readonly records: number; readonly bytes: number }) {
    this.#coalesce = coalesce;
    this.#hold = hold;
  }

  send(text: string, now: number): void {
    if (this.#held.length === 0) this.#since = now;
    this.#held.push(text);
    this.flush(now);
  }

  flush(now: number): void {
    const { maxDelayMs, maxBytes } = this.#coalesce ?? { maxDelayMs: 0, maxBytes: 0 };
    const bytes = this.#held.join('').length;
    const full = this.#held.length >= this.#hold.records || bytes >= Math.min(maxBytes, this.#hold.bytes);
    if (full || now >= this.#since + maxDelayMs) this.delivered.push(...this.#held.splice(0));
  }
}

const settings = fc.record({
  quick: fc.record({ maxDelayMs: fc.integer({ min: 1, max: 50 }), maxBytes: fc.integer({ min: 1, max: 200 }) }),
  slow: fc.record({ maxDelayMs: fc.integer({ min: 40, max: 400 }), maxBytes: fc.integer({ min: 1, max: 2000 }) }),
  hold: fc.record({ records: fc.integer({ min: 1, max: 20 }), bytes: fc.integer({ min: 1, max: 500 }) }),
});
const steps = fc.array(
  fc.oneof(
    fc.record({ room: fc.constantFrom(...ROOMS), bytes: fc.integer({ min: 3, max: 60 }) }),
    fc.record({ wait: fc.integer({ min: 1, max: 120 }) }),
  ),
  { maxLength: 60, size: 'max' },
);

test('holds records until a bound or the delay is reached, and not a millisecond longer', async () => {
  await fc.assert(
    fc.asyncProperty(settings, steps, async ({ hold, ...coalescing }, script) => {
      const coalesce = (room: string) => (coalescing as Record<string, Coalesce | undefined>)[room];
      const { time, hub, subscribe, send } = await openHub({ coalesce, hold });
      const rooms = ROOMS.map((name) => ({ name, member: subscribe(name), model: new Model(coalesce(name), hold) }));
      time.settle();
      const check = () => {
        for (const { member, model } of rooms) {
          expect(member.received.flatMap((frame) => frame.split(','))).toEqual(model.delivered);
        }
      };
      let count = 0;
      for (const step of script) {
        if ('wait' in step) {
          for (let ms = 0; ms < step.wait; ms++) {
            time.advance(1);
            for (const { model } of rooms) model.flush(time.now());
            check();
          }
          continue;
        }
        const text = `${++count}`.padEnd(step.bytes, '.');
        send(text, step.room);
        rooms.find(({ name }) => name === step.room)?.model.send(text, time.now());
        time.settle();
        check();
      }
      await hub.settle();
      expect(rooms.flatMap(({ member }) => member.received.flatMap((frame) => frame.split(',')))).toHaveLength(count);
      await hub.close();
      expect(time.timers).toBe(0);
    }),
    { numRuns: 30 },
  );
});
