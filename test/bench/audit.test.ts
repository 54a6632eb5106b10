import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dialects } from '../../bench/dialects/index.ts';
import { Audit, addTo, isNone, none } from '../../bench/generator/audit.ts';
import type { Findings } from '../../bench/generator/generator.ts';
import { messageOf } from '../../bench/generator/message.ts';
import { UNKNOWN } from '../../bench/plan.ts';
import { judged } from '../../bench/result.ts';

const BYTES = 20;
type Said = readonly [sender: number, seq: number];

/** An audit of a client that heard these, so many in a frame. */
function hearing(said: readonly Said[], frame = 3, senders = 3): Audit {
  const audit = new Audit(9, { from: 0, count: senders });
  for (let at = 0; at < said.length; at += frame) {
    const messages = said.slice(at, at + frame).map(([sender, seq]) => messageOf(sender, seq, BYTES));
    take(audit, messages.join('\n'));
  }
  return audit;
}

function take(audit: Audit, frame: string): void {
  const ear = dialects.gorilla.ear(BYTES);
  ear.read(Buffer.from(frame), (message, words) => audit.hear(message, words));
}

/** What is found wrong with clients that share a room; those that were cut need not have heard the end. */
function judge(audits: readonly Audit[], cut: readonly Audit[], sent: readonly number[]) {
  const findings = [...audits, ...cut].map((audit): Findings => {
    const faults = none();
    addTo(faults, audit.finish(cut.includes(audit) ? undefined : sent));
    const orders = isNone(faults) && !cut.includes(audit) ? [[0, audit.order] as const] : [];
    const timings = { counts: [], max: 0 };
    const other = {
      auditors: 1,
      audited: audit.heard,
      closes: {},
      slowCloses: {},
      churnCloses: {},
      came: 0,
      unreturned: 0,
    };
    return { roundTrips: timings, connecting: timings, faults, first: audit.first, orders, ...other };
  });
  const { lost, repeated, swapped, unknown, first } = judged(findings).audit;
  return { faults: { lost, repeated, swapped, unknown }, first };
}
const all: Said[] = [
  [0, 0],
  [1, 0],
  [0, 1],
  [2, 0],
  [0, 2],
  [1, 1],
];
const sent = [3, 2, 1];
const without = (...gone: number[]) => all.filter((_, index) => !gone.includes(index));
const swapped = (a: number, b: number) => all.with(a, all[b] as Said).with(b, all[a] as Said);

test('what is heard once and in order is sound, however it is framed', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(4), { maxLength: 200 }), fc.integer({ min: 1, max: 9 }), (senders, frame) => {
      const counts = [0, 0, 0, 0, 0];
      const said = senders.map(
        (sender): Said => [sender, (counts[sender] as number)++ && (counts[sender] as number) - 1],
      );
      expect(judge([hearing(said, frame, 5), hearing(said, 1, 5)], [], counts).faults).toEqual(none());
    }),
  );
});

test.each([
  ['a loss', without(2), { lost: 1 }],
  ['two losses in a row', without(0, 2), { lost: 2 }],
  ['a loss at the end', without(5), { lost: 1 }],
  ['a sender that is not heard at all', without(0, 2, 4), { lost: 3 }],
  ['a repeat', [...all, [1, 0] as Said], { repeated: 1 }],
  ['a repeat of the last', [...all, [1, 1] as Said], { repeated: 1 }],
  ['a swap', swapped(0, 2), { swapped: 1 }],
  ['one that nobody sent', [...all, [2, 1] as Said], { unknown: 1 }],
  ['one of a sender that is none', [...all, [7, 0] as Said], { unknown: 1 }],
])('%s is found', (_, said, faults) => {
  expect(judge([hearing(said)], [], sent).faults).toEqual({ ...none(), ...faults });
});

test('a swap of two senders is found where another client heard them the other way', () => {
  expect(judge([hearing(all), hearing(swapped(0, 1))], [], sent).faults).toEqual({ ...none(), swapped: 1 });
});

test.each(['', 'hello', 'hello\nworld', `${messageOf(0, 0, BYTES)}y`, messageOf(0, 0, BYTES - 1)])(
  'a frame of something else, %j, is found line by line',
  (frame) => {
    const audit = hearing(all);
    take(audit, frame);
    expect(judge([audit], [], sent).faults).toEqual({ ...none(), unknown: frame.split('\n').length });
  },
);

test('a client that was closed lost nothing by what came later, but by a hole before', () => {
  expect(judge([hearing(all)], [hearing(all.slice(0, 3))], sent).faults).toEqual(none());
  expect(judge([hearing(all)], [hearing(without(2))], sent).faults).toEqual({ ...none(), lost: 1 });
});

test('what a client that was closed had on its way may have arrived, or not', () => {
  const unknown = sent.with(0, UNKNOWN);
  expect(judge([hearing(all)], [], unknown).faults).toEqual(none());
  expect(judge([hearing(without(4))], [], unknown).faults).toEqual(none());
  expect(judge([hearing(without(2))], [], unknown).faults).toEqual({ ...none(), lost: 1 });
});

test('one that comes late begins where it comes in, and then must hear everything', () => {
  const late = (said: readonly Said[]) => {
    const audit = new Audit(9, { from: 0, count: 3 }, true);
    for (const [sender, seq] of said) audit.hear({ sender, seq }, '');
    return audit.finish(undefined);
  };
  expect(late(all.slice(2))).toEqual(none());
  expect(late([all[0], all[4]] as Said[])).toEqual({ ...none(), lost: 1 });
});

test.each([
  ['a loss', without(2), 'client 9 heard message 2 of client 0 where 1 was due'],
  ['a loss at the end', without(5), 'client 9 never heard message 1 of client 1'],
  ['a repeat', [...all, [1, 0] as Said], 'client 9 heard message 0 of client 1 again'],
  [
    'one of another room',
    [...all, [7, 0] as Said],
    'heard what nobody sent: message 0 of client 7, which is not in its room',
  ],
])('the first violation is told in words: %s', (_, said, words) => {
  expect(judge([hearing(said)], [], sent).first).toContain(words);
});
