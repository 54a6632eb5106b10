import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LogRecord } from '../../src/hub/log.ts';
import { type Encoder, MAX_FRAME_BYTES, type Notice } from '../../src/hub/subscriber.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import type { Change } from '../../src/protocol/v1.ts';
import { v1 } from '../../src/wire/v1.ts';

const wire = v1();
const golden = readFileSync('test/wire/v1.golden.txt', 'utf8').split('\n').slice(1, -1);

const record = (seq: number, fields: Partial<LogRecord> = {}): LogRecord => {
  const data = fields.data ?? '{"text":"hi"}';
  const bytes = Buffer.byteLength(data);
  return { seq, at: 1795250403071 + seq, from: 'ada', sender: 's1', id: `a${seq}`, data, json: true, bytes, ...fields };
};
const records = (all: readonly LogRecord[]) => ({ head: all.length, at: (seq: number) => all[seq - 1] as LogRecord });
const lines = (bytes: Uint8Array) => Buffer.from(bytes).toString().split('\n');

const fromOtherWire = record(2, { from: 'c1', sender: '', id: '', data: 'from "another" wire', json: false });

/** Returns the record of a change, as the log has it. */
function recordOf({ seq, id, from, at, op, of, data, reaction = '' }: Change): LogRecord {
  const replaced = op === 'edit' && data === undefined;
  const extra = { kind: 'change', op, of, ...(replaced && { replaced }) } as const;
  const json = data !== undefined;
  return { seq, at, from, sender: 's', id, data: json ? JSON.stringify(data) : reaction, json, bytes: 0, extra };
}

/** Encodes a record for a client that understands changes. */
function withChanges(record: LogRecord) {
  const one = { head: record.seq, at: () => record };
  return (wire.withChanges as Encoder).encode('lobby', one, record.seq - 1, MAX_FRAME_BYTES, 'e');
}

const NUMBER = `must be a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`;
const OP = 'send: "op" must be "edit", "delete", "react" or "unreact"';
const REACTION = 'send: "reaction" must be a string of 1 to 32 bytes';

test('encodes every message as in the golden file', () => {
  const written = golden.map((line): string => {
    const message = JSON.parse(line);
    if (message.t === 'history') {
      return wire.encodeNotice({
        t: 'history',
        room: 'lobby',
        records: [record(1), fromOtherWire],
        from: 1,
        to: 2,
        more: false,
      }) as string;
    }
    if (message.t === 'change') return lines(withChanges(recordOf(message)).bytes)[0] as string;
    if (message.t !== 'message') return wire.encodeNotice(message as Notice) as string;
    const frame = wire.encode('lobby', records([record(1), fromOtherWire]), 0, MAX_FRAME_BYTES, 'e');
    return lines(frame.bytes)[message.seq - 1] as string;
  });
  expect(written).toEqual(golden);
});

test('decodes every message as in the golden file', () => {
  for (const line of readFileSync('test/wire/v1.client.golden.txt', 'utf8').split('\n').slice(1, -1)) {
    const [frame = '', command = ''] = line.split('\t');
    expect(wire.decode(Buffer.from(frame), false)).toEqual([JSON.parse(command)]);
  }
});

test('PROTOCOL.md lists each message of the golden files with its sender', () => {
  const specification = readFileSync('PROTOCOL.md', 'utf8');
  const commands = readFileSync('test/wire/v1.client.golden.txt', 'utf8').split('\n').slice(1, -1);
  const typesIn = (lines: string[]) => new Set(lines.flatMap((line) => /^{"t":"(\w+)"/.exec(line)?.[1] ?? []));
  const inTable = (sender: string) =>
    new Set([...specification.matchAll(new RegExp(`^\\| \`(\\w+)\` +\\| ${sender}`, 'gm'))].map(([, t]) => t));
  expect(inTable('server')).toEqual(typesIn(golden));
  expect(inTable('client')).toEqual(typesIn(commands.filter((line) => !line.includes('refusal'))));
});

describe('encode', () => {
  test('writes records unchanged, from any place, in frames within the limit', () => {
    const datas = fc.array(
      fc.oneof(
        fc.json(),
        fc.json().map((json) => json.padEnd(20_000)),
      ),
      { minLength: 1, maxLength: 20 },
    );
    fc.assert(
      fc.property(datas, fc.nat(), fc.string({ minLength: 1 }), fc.boolean(), (all, from, room, json) => {
        const log = records(all.map((data, i) => record(i + 1, { data, json, bytes: Buffer.byteLength(data) })));
        const start = from % all.length;
        const received: { room: string; seq: number; data: unknown }[] = [];
        for (let at = start; at < log.head; ) {
          const frame = wire.encode(room, log, at, MAX_FRAME_BYTES, 'e');
          expect([frame.from, frame.to > at]).toEqual([at, true]);
          if (frame.to > at + 1) expect(frame.bytes.byteLength).toBeLessThanOrEqual(MAX_FRAME_BYTES);
          received.push(...lines(frame.bytes).map((line) => JSON.parse(line)));
          at = frame.to;
        }
        expect(received.map(({ seq }) => seq)).toEqual(all.slice(start).map((_, i) => start + i + 1));
        for (const { room: name, seq, data } of received) {
          expect(name).toBe(room);
          expect(data).toEqual(json ? JSON.parse(all[seq - 1] as string) : { text: all[seq - 1] });
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('decode', () => {
  const decode = (text: string) => wire.decode(Buffer.from(text), false);

  test('preserves any data of a send, and reports its length in bytes', () => {
    fc.assert(
      fc.property(fc.json(), fc.string({ minLength: 1, maxLength: 30 }), (data, id) => {
        const [command] = decode(`{"t":"send","room":"r","id":${JSON.stringify(id)},"data":${data}}`);
        if (command?.kind !== 'broadcast') throw new Error(JSON.stringify(command));
        expect(JSON.parse(command.data)).toEqual(JSON.parse(data));
        const { bytes, data: json } = command;
        expect([command.id, bytes, json.includes('\n')]).toEqual([id, Buffer.byteLength(json), false]);
      }),
    );
  });

  test('decodes any bytes and any JSON to one command for each line, and never throws', () => {
    const fields = fc.record(
      {
        t: fc.constantFrom('join', 'leave', 'send', 'signal', 'history', 'ack', 'ping', 'x', 1, null),
        room: fc.oneof(fc.string(), fc.jsonValue()),
        id: fc.oneof(fc.string(), fc.jsonValue()),
        data: fc.jsonValue(),
        since: fc.oneof(fc.record({ epoch: fc.string(), seq: fc.integer() }), fc.jsonValue()),
        history: fc.jsonValue(),
        before: fc.jsonValue(),
        limit: fc.jsonValue(),
        seq: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    const line = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json(),
      fields.map((message) => JSON.stringify(message)),
    );
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 4 }), (all) => {
        const text = all.join('\n');
        expect(decode(text)).toHaveLength(text.split('\n').length);
      }),
      { numRuns: 500 },
    );
    fc.assert(fc.property(fc.uint8Array(), (bytes) => wire.decode(bytes, false).length > 0));
  });

  test('decodes a send in any order of fields, and uses the last of duplicates', () => {
    const message = fc.record({
      room: fc.string({ minLength: 1 }),
      id: fc.string({ minLength: 1 }),
      data: fc.jsonValue(),
    });
    fc.assert(
      fc.property(message, ({ room, id, data }) => {
        const [usual] = decode(JSON.stringify({ t: 'send', room, id, data }));
        const [reordered] = decode(JSON.stringify({ data, id, room, t: 'send' }));
        expect(usual).toEqual(reordered);
      }),
    );
    const [command] = decode('{"t":"send","room":"r","id":"1","data":"a","room":"s"}');
    expect(command).toMatchObject({ kind: 'broadcast', room: 's', data: '"a"' });
  });

  test.each(['send', 'signal'])('rejects a %s nested more than a hundred deep', (t) => {
    const nested = (depth: number) =>
      `{"t":"${t}","room":"r","id":"1","data":${'['.repeat(depth)}${']'.repeat(depth)}}`;
    expect(decode(nested(100))[0]?.kind).toBe(t === 'send' ? 'broadcast' : 'signal');
    for (const depth of [101, 8_000]) {
      expect(decode(nested(depth))[0]).toMatchObject({ code: 'bad_field', field: 'data' });
    }
  });

  const SEQ = 'must be a whole number from 0 to 9007199254740991';
  const NAME = 'must be a string of 1 to 128 bytes';
  const EXCLUSIVE = 'must be absent when "before" is given';
  const DATA = 'must be a JSON value, nested at most 100 deep';
  test.each([
    ['{"t":"auth","token":""}', 'token', 'auth: "token" must be a non-empty string'],
    ['{"t":"send","room":"r","data":1}', 'id', `send: "id" ${NAME}`],
    ['{"t":"send","room":"r","id":"1"}', 'data', `send: "data" ${DATA}`],
    ['{"t":"signal","room":"r"}', 'data', `signal: "data" ${DATA}`],
    ['{"t":"join","room":"r","history":1001}', 'history', 'join: "history" must be a whole number from 0 to 1000'],
    ['{"t":"join","room":"r","since":5}', 'since', 'join: "since" must be an object with "epoch" and "seq"'],
    ['{"t":"join","room":"r","since":{"seq":1}}', 'since.epoch', `join: "since.epoch" ${NAME}`],
    ['{"t":"join","room":"r","since":{"epoch":"e","seq":1.5}}', 'since.seq', `join: "since.seq" ${SEQ}`],
    ['{"t":"history","room":"r","id":7}', 'id', `history: "id" ${NAME}`],
    ['{"t":"history","room":"r","limit":0}', 'limit', 'history: "limit" must be a whole number from 1 to 1000'],
    ['{"t":"history","room":"r","before":-1}', 'before', `history: "before" ${SEQ}`],
    ['{"t":"history","room":"r","after":"1"}', 'after', `history: "after" ${SEQ}`],
    ['{"t":"history","room":"r","before":1,"after":1}', 'after', `history: "after" ${EXCLUSIVE}`],
    ['{"t":"join","room":"r","changes":1}', 'changes', 'join: "changes" must be true or false'],
    ['{"t":"history","room":"r","changes":"yes"}', 'changes', 'history: "changes" must be true or false'],
    ['{"t":"send","room":"r","id":"a","data":1,"reply":0}', 'reply', `send: "reply" ${NUMBER}`],
    ['{"t":"send","room":"r","id":"a","data":1,"reply":null}', 'reply', `send: "reply" ${NUMBER}`],
    ['{"t":"send","room":"r","id":"a","op":"move","of":1}', 'op', OP],
    ['{"t":"send","room":"r","id":"a","op":null,"of":1,"data":1}', 'op', OP],
    ['{"t":"send","room":"r","id":"a","op":"delete"}', 'of', `send: "of" ${NUMBER}`],
    ['{"t":"send","room":"r","id":"a","op":"edit","of":1.5,"data":1}', 'of', `send: "of" ${NUMBER}`],
    [
      '{"t":"send","room":"r","id":"a","op":"edit","of":1}',
      'data',
      'send: "data" must be a JSON value, nested at most 100 deep',
    ],
    [
      '{"t":"send","room":"r","id":"a","op":"delete","of":1,"reply":1}',
      'reply',
      'send: "reply" must be absent when "op" is given',
    ],
    ['{"t":"send","room":"r","id":"a","op":"react","of":1}', 'reaction', REACTION],
    ['{"t":"send","room":"r","id":"a","op":"react","of":1,"reaction":""}', 'reaction', REACTION],
    [`{"t":"send","room":"r","id":"a","op":"unreact","of":1,"reaction":"${'x'.repeat(33)}"}`, 'reaction', REACTION],
    ['{"t":"ack","room":"r","seq":null}', 'seq', `ack: "seq" ${SEQ}`],
  ])('names the invalid field and its rule: %s', (line, field, message) => {
    expect(decode(line)).toMatchObject([{ kind: 'refusal', code: 'bad_field', field, message }]);
  });

  test('treats a binary frame as a violation', () => {
    expect(wire.decode(Buffer.from('{}'), true)).toEqual([{ kind: 'violation', close: closes.unsupported }]);
  });
});
