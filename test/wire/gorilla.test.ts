import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Log } from '../../src/hub/log.ts';
import { MAX_FRAME_BYTES } from '../../src/hub/subscriber.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { gorilla } from '../../src/wire/gorilla.ts';
import type { Command } from '../../src/wire/wire.ts';

const wire = gorilla();
const decode = (text: string) => wire.decode(Buffer.from(text), false)[0] as Command;
const broadcastOf = (text: string) => {
  const command = decode(text);
  if (command.kind !== 'broadcast') throw new Error(`expected a broadcast: ${JSON.stringify(command)}`);
  return command;
};

function logOf(messages: readonly string[], start = 0): Log {
  const log = new Log(start, { records: 1e6, bytes: 1e9 });
  messages.forEach((data, i) => {
    const record = { seq: start + i + 1, at: 0, from: 'a', sender: '', id: '', data, json: false };
    log.append({ ...record, bytes: Buffer.byteLength(data) });
  });
  return log;
}

describe('decode', () => {
  test.each([
    ['hello', 'hello'],
    ['two\nlines', 'two lines'],
    ['\n\nhello\r\n', 'hello'],
    ['a\r\nb', 'a\r b'],
    ['  \t\v\f hello \n', 'hello'],
    ['', ''],
    [' \n ', ''],
    ['\u0085next line\u0085', 'next line'],
    ['\u00a0\u2003wide\u3000', 'wide'],
    ['\u1680ogham\u2028\u2029\u202f\u205f', 'ogham'],
    ['\ufeffmark\ufeff', '\ufeffmark\ufeff'],
    ['\u200bzero width\u200b', '\u200bzero width\u200b'],
    ['héllo 👋', 'héllo 👋'],
    ['inner \u0085 stays', 'inner \u0085 stays'],
  ])('decodes %j as %j', (sent, decoded) => {
    expect(broadcastOf(sent).data).toBe(decoded);
  });

  test('reports the length in bytes of UTF-8', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const { data, bytes } = broadcastOf(text);
        expect(bytes).toBe(Buffer.byteLength(data));
      }),
    );
  });

  test('accepts binary frames of valid UTF-8 as text', () => {
    expect(wire.decode(Buffer.from('héllo\n'), true)).toMatchObject([{ kind: 'broadcast', data: 'héllo' }]);
  });

  test('decodes any bytes to a message without newlines or a violation, and never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        const [command] = wire.decode(bytes, true);
        const valid = Buffer.from(Buffer.from(bytes).toString()).equals(bytes);
        if (valid) expect(command).toMatchObject({ kind: 'broadcast', data: expect.not.stringContaining('\n') });
        else expect(command).toEqual({ kind: 'violation', close: closes.invalidText });
      }),
    );
  });

  test('reads a view into a larger buffer', () => {
    const around = Buffer.from('before|hello|after');
    expect(wire.decode(around.subarray(7, 12), false)).toMatchObject([{ data: 'hello', bytes: 5 }]);
  });
});

describe('encode', () => {
  test('writes every message once and in order, from any place', () => {
    const messages = fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(messages, fc.nat(), (sent, from) => {
        const log = logOf(sent);
        const start = from % sent.length;
        const received: string[] = [];
        for (let at = start; at < log.head; ) {
          const frame = wire.encode('lobby', log, at, MAX_FRAME_BYTES, 'e');
          expect(frame.from).toBe(at);
          expect(frame.to).toBeGreaterThan(at);
          received.push(...Buffer.from(frame.bytes).toString().split('\n'));
          at = frame.to;
        }
        const one = (text: string) => Buffer.from(text.replaceAll('\n', ' ')).toString();
        expect(received).toEqual(sent.slice(start).map(one));
      }),
    );
  });

  test('fills a frame up to the limit with whole messages', () => {
    const log = logOf(Array.from({ length: 2000 }, (_, i) => `${i}`.padEnd(100, '.')));
    const frame = wire.encode('lobby', log, 0, MAX_FRAME_BYTES, 'e');
    expect(frame.bytes.byteLength).toBeLessThanOrEqual(MAX_FRAME_BYTES);
    expect(frame.bytes.byteLength + 101).toBeGreaterThan(MAX_FRAME_BYTES);
    expect(Buffer.from(frame.bytes).toString().split('\n')).toHaveLength(frame.to);
  });

  test('writes a message longer than a frame alone', () => {
    const log = logOf(['short', 'x'.repeat(MAX_FRAME_BYTES + 1), 'short']);
    expect(wire.encode('lobby', log, 0, MAX_FRAME_BYTES, 'e').to).toBe(1);
    expect(wire.encode('lobby', log, 1, MAX_FRAME_BYTES, 'e')).toMatchObject({ from: 1, to: 2 });
  });
});

test('has the limits of the example', () => {
  const { maxMessageSize, pingPeriod, pongWait, writeWait } = wire;
  expect({ maxMessageSize, pingPeriod, pongWait, writeWait }).toEqual({
    maxMessageSize: 512,
    pingPeriod: 54_000,
    pongWait: 60_000,
    writeWait: 10_000,
  });
  expect(wire.pingPeriod).toBeLessThan(wire.pongWait);
});

test('closes a slow client with an empty close frame and a dead one with none, as the example does', () => {
  expect(wire.closeFrame(closes.slowConsumer).code).toBe(1005);
  expect(wire.closeFrame(closes.writeTimeout).code).toBe(1005);
  expect(wire.closeFrame(closes.pongTimeout).code).toBe(1006);
  expect(wire.closeFrame(closes.messageTooBig).code).toBe(1009);
  expect(wire.closeFrame(closes.goingAway).code).toBe(1001);
});
