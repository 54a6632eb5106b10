import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Audit, addTo, isFaultless, noFaults } from '../../bench/generator/audit.ts';
import type { Findings } from '../../bench/generator/generator.ts';
import { messageOf } from '../../bench/generator/message.ts';
import { UNKNOWN } from '../../bench/plan.ts';
import { judged } from '../../bench/result.ts';
import { wires } from '../../bench/wires/index.ts';

const BYTES = 20;
type Sent = readonly [sender: number, seq: number];

/** @returns the audit of a client that received these messages, `perFrame` in a frame. */
function auditOf(received: readonly Sent[], perFrame = 3, senders = 3): Audit {
  const audit = new Audit(9, { from: 0, count: senders });
  for (let at = 0; at < received.length; at += perFrame) {
    const messages = received.slice(at, at + perFrame).map(([sender, seq]) => messageOf(sender, seq, BYTES));
    record(audit, messages.join('\n'));
  }
  return audit;
}

function record(audit: Audit, frame: string): void {
  const decoder = wires.gorilla.decoder(BYTES);
  decoder.decode(Buffer.from(frame), (message, text) => audit.record(message, text));
}

/**
 * @returns the faults of clients of one room; closed ones need not have received the last messages.
 */
function judge(audits: readonly Audit[], closed: readonly Audit[], sent: readonly number[]) {
  const findings = [...audits, ...closed].map((audit): Findings => {
    const faults = noFaults();
    addTo(faults, audit.finish(closed.includes(audit) ? undefined : sent));
    const order = { room: 0, node: 0, hash: audit.orderHash, messages: audit.order };
    const orders = isFaultless(faults) && !closed.includes(audit) ? [order] : [];
    const timings = { counts: [], max: 0 };
    const other = {
      auditors: 1,
      audited: audit.received,
      closes: {},
      slowCloses: {},
      churnCloses: {},
      visits: 0,
      unreturned: 0,
    };
    const all = { roundTrips: timings, connecting: timings, crossings: timings };
    return { ...all, faults, first: audit.first, orders, ...other };
  });
  const { lost, repeated, swapped, unknown, first } = judged(findings).audit;
  return { faults: { lost, repeated, swapped, unknown }, first };
}

const all: Sent[] = [
  [0, 0],
  [1, 0],
  [0, 1],
  [2, 0],
  [0, 2],
  [1, 1],
];
const sent = [3, 2, 1];
const without = (...removed: number[]) => all.filter((_, index) => !removed.includes(index));
const swapped = (a: number, b: number) => all.with(a, all[b] as Sent).with(b, all[a] as Sent);

test('finds no fault in messages received once and in order, whatever the framing', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(4), { maxLength: 200 }), fc.integer({ min: 1, max: 9 }), (senders, perFrame) => {
      const counts = [0, 0, 0, 0, 0];
      const received = senders.map(
        (sender): Sent => [sender, (counts[sender] as number)++ && (counts[sender] as number) - 1],
      );
      expect(judge([auditOf(received, perFrame, 5), auditOf(received, 1, 5)], [], counts).faults).toEqual(noFaults());
    }),
  );
});

test.each([
  ['a loss', without(2), { lost: 1 }],
  ['two consecutive losses', without(0, 2), { lost: 2 }],
  ['a loss at the end', without(5), { lost: 1 }],
  ['the loss of all messages of a sender', without(0, 2, 4), { lost: 3 }],
  ['a repeat', [...all, [1, 0] as Sent], { repeated: 1 }],
  ['a repeat of the last message', [...all, [1, 1] as Sent], { repeated: 1 }],
  ['a swap', swapped(0, 2), { swapped: 1 }],
  ['a message that was not sent', [...all, [2, 1] as Sent], { unknown: 1 }],
  ['a message of an unknown sender', [...all, [7, 0] as Sent], { unknown: 1 }],
])('reports %s', (_, received, faults) => {
  expect(judge([auditOf(received)], [], sent).faults).toEqual({ ...noFaults(), ...faults });
});

test('reports a swap when another client received two senders in the opposite order', () => {
  expect(judge([auditOf(all), auditOf(swapped(0, 1))], [], sent).faults).toEqual({ ...noFaults(), swapped: 1 });
});

test.each(['', 'hello', 'hello\nworld', `${messageOf(0, 0, BYTES)}y`, messageOf(0, 0, BYTES - 1)])(
  'reports each line of a foreign frame, %j, as unknown',
  (frame) => {
    const audit = auditOf(all);
    record(audit, frame);
    expect(judge([audit], [], sent).faults).toEqual({ ...noFaults(), unknown: frame.split('\n').length });
  },
);

test('counts gaps but not missing last messages as losses of a closed client', () => {
  expect(judge([auditOf(all)], [auditOf(all.slice(0, 3))], sent).faults).toEqual(noFaults());
  expect(judge([auditOf(all)], [auditOf(without(2))], sent).faults).toEqual({ ...noFaults(), lost: 1 });
});

test('accepts the messages in flight of a closed sender, whether they arrived or not', () => {
  const unknown = sent.with(0, UNKNOWN);
  expect(judge([auditOf(all)], [], unknown).faults).toEqual(noFaults());
  expect(judge([auditOf(without(4))], [], unknown).faults).toEqual(noFaults());
  expect(judge([auditOf(without(2))], [], unknown).faults).toEqual({ ...noFaults(), lost: 1 });
});

test('requires every message from the first one on of a client that joins late', () => {
  const late = (received: readonly Sent[]) => {
    const audit = new Audit(9, { from: 0, count: 3 }, { late: true });
    for (const [sender, seq] of received) audit.record({ sender, seq }, '');
    return audit.finish(undefined);
  };
  expect(late(all.slice(2))).toEqual(noFaults());
  expect(late([all[0], all[4]] as Sent[])).toEqual({ ...noFaults(), lost: 1 });
});

test.each([
  ['a loss', without(2), 'client 9 received message 2 of client 0 instead of 1'],
  ['a loss at the end', without(5), 'client 9 never received message 1 of client 1'],
  ['a repeat', [...all, [1, 0] as Sent], 'client 9 received message 0 of client 1 again'],
  [
    'a message of another room',
    [...all, [7, 0] as Sent],
    'received an unknown message: message 0 of client 7, which is not in its room',
  ],
])('describes the first violation: %s', (_, received, description) => {
  expect(judge([auditOf(received)], [], sent).first).toContain(description);
});
