import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KnownSenders } from '../../src/threads/known-senders.ts';

const ascii = fc.string({ unit: 'binary-ascii', maxLength: 8 });

test('finds the sender at any place, whatever senders it has seen', () => {
  const senders = new KnownSenders();
  const property = fc.property(ascii, ascii, ascii, fc.nat(9), (before, from, sender, rest) => {
    const buffer = Buffer.from(`${before}${from}${sender}`.padEnd(rest, '.'), 'latin1');
    const { from: foundFrom, sender: foundSender } = senders.find(buffer, before.length, from.length, sender.length);
    expect([foundFrom, foundSender]).toEqual([from, sender]);
  });
  fc.assert(property, { numRuns: 20_000 });
});

test('tells senders apart whose texts are the same when joined', () => {
  const senders = new KnownSenders();
  const buffer = Buffer.from('abcd');
  const split = (at: number) => senders.find(buffer, 0, at, 4 - at);
  for (const at of [1, 2, 1, 3, 2, 0, 4]) {
    expect(split(at)).toMatchObject({ from: 'abcd'.slice(0, at), sender: 'abcd'.slice(at) });
  }
});

test('finds a sender that has come before without decoding it again', () => {
  const senders = new KnownSenders();
  const sessions = Array.from({ length: 100 }, (_, i) => `${1000 + 7 * i}`);
  const find = (session: string) => senders.find(Buffer.from(`ada${session}`), 0, 3, 4);
  const found = sessions.map(find);
  const again = sessions.map(find);
  expect(again.every((sender, i) => sender === found[i])).toBe(true);
  expect(new Set(found).size).toBe(100);
});

test('keeps a copy of the bytes, since those of a ring change', () => {
  const senders = new KnownSenders();
  const buffer = Buffer.from('adas1');
  expect(senders.find(buffer, 0, 3, 2).from).toBe('ada');
  buffer.write('evas1');
  expect(senders.find(buffer, 0, 3, 2).from).toBe('eva');
});
