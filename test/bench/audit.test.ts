import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Audit, judge } from '../../bench/audit.ts';
import { messageOf } from '../../bench/message.ts';

const BYTES = 20;
type Said = readonly [sender: number, seq: number];

/** An audit of a client that heard these, so many in a frame. */
function hearing(said: readonly Said[], frame = 3, senders = 3): Audit {
  const audit = new Audit(senders, BYTES);
  for (let at = 0; at < said.length; at += frame) {
    const messages = said.slice(at, at + frame).map(([sender, seq]) => messageOf(sender, seq, BYTES).toString());
    audit.frame(Buffer.from(messages.join('\n')));
  }
  return audit;
}

const none = { lost: 0, repeated: 0, swapped: 0, unknown: 0 };
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
      expect(judge([hearing(said, frame, 5), hearing(said, 1, 5)], [], counts)).toEqual(none);
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
  expect(judge([hearing(said)], [], sent)).toEqual({ ...none, ...faults });
});

test('a swap of two senders is found where another client heard them the other way', () => {
  expect(judge([hearing(all), hearing(swapped(0, 1))], [], sent)).toEqual({ ...none, swapped: 1 });
});

test.each(['', 'hello', 'hello\nworld', `${messageOf(0, 0, BYTES)}y`, messageOf(0, 0, BYTES - 1).toString()])(
  'a frame of something else, %j, is found line by line',
  (frame) => {
    const audit = hearing(all);
    audit.frame(Buffer.from(frame));
    expect(judge([audit], [], sent)).toEqual({ ...none, unknown: frame.split('\n').length });
  },
);

test('a client that was closed lost nothing by what came later, but by a hole before', () => {
  expect(judge([hearing(all)], [hearing(all.slice(0, 3))], sent)).toEqual(none);
  expect(judge([hearing(all)], [hearing(without(2))], sent)).toEqual({ ...none, lost: 1 });
});
