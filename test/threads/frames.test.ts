import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Draft, Outcome } from '../../src/hub/engine.ts';
import type { LogRecord } from '../../src/hub/log.ts';
import { FrameDecoder } from '../../src/threads/frame-decoder.ts';
import { type DownFrames, FrameEncoder } from '../../src/threads/frames.ts';

const decoder = new FrameDecoder();

// Any strings: ASCII, others, and lone surrogates, which JSON escapes may carry.
const text = fc.oneof(
  fc.string({ unit: 'binary-ascii' }),
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: fc.constantFrom('a', 'ß', '👋', '\ud800', '\udc00') }),
);
const seq = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER - 1000 });
const attachment = fc.integer({ min: 1, max: 0xffffffff });
// Many messages in a row have one sender, or have a part of it in common.
const name = fc.oneof(text, fc.constantFrom('', 'a', 'ß'));
const draft = fc.record({ from: name, sender: name, id: text, data: text, json: fc.boolean() });

function draftOf(fields: { from: string; sender: string; id: string; data: string; json: boolean }): Draft {
  const { sender, ...rest } = fields;
  return { room: 'x', ...rest, ...(sender !== '' && { sender }), bytes: Buffer.byteLength(fields.data) };
}

/** Returns a frame as a ring passes it on: within a buffer. */
function passed({ buffer, length }: FrameEncoder): [Buffer, number, number] {
  const start = 12;
  return [
    Buffer.concat([Buffer.alloc(start, 0xff), buffer.subarray(0, length), Buffer.alloc(9, 0xff)]),
    start,
    start + length,
  ];
}

test('drafts of any texts pass in as many frames as they need, and none is longer than allowed', () => {
  const encoder = new FrameEncoder();
  const property = fc.property(attachment, fc.array(draft, { minLength: 1 }), fc.nat(400), (number, all, extra) => {
    const drafts = all.map(draftOf);
    const longest = Math.max(...drafts.map((each) => frameOf(encoder, each)));
    const received: Draft[] = [];
    for (let at = 0; at < drafts.length; ) {
      at = encoder.drafts(number, drafts, at, longest + extra);
      expect(encoder.length).toBeLessThanOrEqual(longest + extra);
      const [buffer, start] = passed(encoder);
      decoder.receiveUp(buffer, start, {
        roomOf: (attached) => (attached === number ? 'x' : 'another'),
        drafts: (attached, part) => {
          expect(attached).toBe(number);
          received.push(...part);
        },
        refused: () => expect.unreachable(),
      });
    }
    expect(received).toEqual(drafts);
  });
  fc.assert(property);
});

function frameOf(encoder: FrameEncoder, single: Draft): number {
  encoder.drafts(1, [single], 0, Number.POSITIVE_INFINITY);
  return encoder.length;
}

test('a draft that is longer than a frame is left to the caller', () => {
  const encoder = new FrameEncoder();
  const drafts = ['short', 'x'.repeat(100), 'short'].map((data) =>
    draftOf({ from: '', sender: '', id: '', data, json: false }),
  );
  expect(encoder.drafts(1, drafts, 0, 120)).toBe(1);
  expect(encoder.drafts(1, drafts, 1, 120)).toBe(1);
  expect(encoder.drafts(1, drafts, 2, 120)).toBe(3);
});

const place = fc.record({ epoch: text, seq });
const position = fc.record({ epoch: text, seq, first: seq, earlier: fc.array(place) });
const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  seq.map((at) => ({ kind: 'stored', seq: at }) as const),
  seq.map((at) => ({ kind: 'duplicate', seq: at }) as const),
  fc.constantFrom({ kind: 'failed' } as const, { kind: 'unknown' } as const),
);
const records = fc
  .tuple(seq, fc.array(fc.tuple(draft, fc.integer({ min: 0, max: 2 ** 45 })), { minLength: 1 }))
  .map(([head, drafts]): LogRecord[] =>
    drafts.map(([fields, at], i) => ({ ...fields, seq: head + i, at, bytes: Buffer.byteLength(fields.data) })),
  );

/** A frame of the log thread, as a call of its receiver. */
type Call = { [K in keyof DownFrames]: [K, ...Parameters<DownFrames[K]>] }[keyof DownFrames];

const call: fc.Arbitrary<Call> = fc.oneof(
  fc.tuple(fc.constant('committed' as const), attachment, records, seq),
  fc.tuple(fc.constant('decided' as const), attachment, fc.array(outcome, { minLength: 1 })),
  fc.tuple(fc.constantFrom('moved' as const, 'skipped' as const), attachment, position) as fc.Arbitrary<Call>,
  fc.tuple(fc.constant('behind' as const), attachment, seq),
);

test('every frame of the log thread is received as it was sent', () => {
  const encoder = new FrameEncoder();
  const property = fc.property(call, attachment, (sent, other) => {
    const [kind, number, ...rest] = sent;
    if (kind === 'committed') {
      const [all, first] = rest as [LogRecord[], number];
      expect(encoder.committed(other, all, first, 0, Number.POSITIVE_INFINITY)).toBe(all.length);
      encoder.readdress(number);
    } else (encoder[kind] as (...args: unknown[]) => void)(number, ...rest);
    const received: unknown[] = [];
    const receiver = new Proxy({} as DownFrames, {
      get:
        (_, name) =>
        (...args: unknown[]) =>
          received.push([name, ...args]),
    });
    decoder.receiveDown(...passed(encoder), receiver);
    expect(received).toEqual([sent]);
  });
  fc.assert(property, { numRuns: 500 });
});

test('a frame of an unknown kind is an error', () => {
  const frame = Buffer.alloc(64, 0xee);
  expect(() => decoder.receiveDown(frame, 0, 64, {} as DownFrames)).toThrow('a frame of an unknown kind');
  expect(() => decoder.receiveUp(frame, 0, { roomOf: () => '', drafts() {}, refused() {} })).toThrow('unknown kind');
});
