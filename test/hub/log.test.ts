import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Log } from '../../src/hub/log.ts';

const record = (seq: number, bytes: number) => ({
  seq,
  at: 0,
  from: 'a',
  sender: '',
  id: '',
  data: 'x'.repeat(bytes),
  json: false,
  bytes,
});

test('Log behaves like the tail of an array of records', () => {
  const windows = fc.record({ records: fc.integer({ min: 1, max: 60 }), bytes: fc.integer({ min: 1, max: 500 }) });
  const cuts = fc.record({ cut: fc.integer({ min: -2, max: 12 }) });
  const steps = fc.oneof(
    { weight: 8, arbitrary: fc.nat({ max: 100 }) },
    { weight: 4, arbitrary: fc.constant('trim' as const) },
    { weight: 1, arbitrary: cuts },
  );
  const sizes = fc.array(steps, { maxLength: 300, size: 'max' });
  fc.assert(
    fc.property(fc.nat({ max: 1e9 }), windows, sizes, (start, window, script) => {
      const log = new Log(start, window);
      const model: ReturnType<typeof record>[] = [];
      let head = start;
      for (const step of script) {
        if (step === 'trim') {
          log.trim();
          const size = () => model.reduce((sum, { bytes }) => sum + bytes, 0);
          while (model.length > 1 && (model.length > window.records || size() > window.bytes)) model.shift();
        } else if (typeof step === 'object') {
          const seq = head - step.cut; // -2 and -1 lie past the head
          const reaches = seq <= head && seq >= head - model.length;
          expect(log.cut(seq)).toBe(reaches);
          if (reaches) model.length -= head - seq;
          if (reaches) head = seq;
        } else {
          const added = record(++head, step);
          log.append(added);
          model.push(added);
        }
        expect(log.head).toBe(head);
        expect(log.first).toBe(head - model.length + 1);
        expect(log.bytes).toBe(model.reduce((sum, { bytes }) => sum + bytes, 0));
      }
      for (const kept of model) {
        expect(log.at(kept.seq)).toBe(kept);
        const after = model.filter(({ seq }) => seq > kept.seq);
        expect(log.bytesAfter(kept.seq)).toBe(after.reduce((sum, { bytes }) => sum + bytes, 0));
        expect(log.reaches(kept.seq)).toBe(true);
      }
      expect(log.reaches(log.first - 1)).toBe(true);
      expect(log.reaches(log.first - 2)).toBe(false);
      expect(log.reaches(head + 1)).toBe(false);
      expect(log.bytesAfter(log.first - 1)).toBe(log.bytes);
    }),
  );
});

test('Log is cut back to a place that it reaches, as if the records after it had never been', () => {
  const log = new Log(4, { records: 2, bytes: 100 });
  for (let seq = 5; seq <= 40; seq++) log.append(record(seq, seq));
  expect([log.cut(3), log.cut(41), log.head]).toEqual([false, false, 40]);
  expect([log.cut(40), log.cut(7), log.head, log.bytes]).toEqual([true, true, 7, 18]);
  log.append(record(8, 50));
  expect([log.at(8).bytes, log.bytesAfter(7), log.bytesAfter(4)]).toEqual([50, 50, 68]);
  log.trim();
  expect([log.first, log.cut(5), log.cut(6), log.head, log.first, log.bytes]).toEqual([7, false, true, 6, 7, 0]);
});

test('Log rejects a record that leaves a hole or repeats one', () => {
  const log = new Log(7, { records: 10, bytes: 100 });
  log.append(record(8, 1));
  expect(() => log.append(record(10, 1))).toThrow(RangeError);
  expect(() => log.append(record(8, 1))).toThrow(RangeError);
  expect(log.head).toBe(8);
});

test('Log drops nothing on append, however large, and trims when asked', () => {
  const log = new Log(0, { records: 2, bytes: 10 });
  for (let seq = 1; seq <= 50; seq++) log.append(record(seq, 100));
  expect(log.first).toBe(1);
  log.trim();
  expect([log.first, log.head, log.bytes]).toEqual([50, 50, 100]);
});
