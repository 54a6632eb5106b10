import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FrameReader } from '../../bench/generator/frames.ts';

function serverFrame(opcode: number, payload: Buffer, fin = 0x80): Buffer {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head.writeUInt8(fin | opcode, 0);
  head.writeUInt8(length < 126 ? length : length < 65_536 ? 126 : 127, 1);
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, payload]);
}

/**
 * @returns the events of a reader for bytes in chunks, each in one buffer that the next chunk
 * overwrites.
 */
function read(chunks: readonly Buffer[], keepPayloads: boolean): string[] {
  const events: string[] = [];
  const reader = new FrameReader({
    message: (payload, length) => events.push(`message ${payload ?? length}`),
    ping: (payload) => events.push(`ping ${payload}`),
    close: (payload) => events.push(`close ${payload.toString('hex')}`),
  });
  reader.keepPayloads = keepPayloads;
  const shared = Buffer.alloc(1_000_000);
  for (const chunk of chunks) {
    chunk.copy(shared);
    reader.read(shared.subarray(0, chunk.length));
  }
  return events;
}

const lengths = fc.oneof(fc.nat(300), fc.constantFrom(125, 126, 65_535, 65_536, 70_000));
const frames = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: lengths.map((length) => ({ kind: 'message', opcode: 1, text: 'm'.repeat(length) })) },
    { weight: 1, arbitrary: fc.nat(125).map((length) => ({ kind: 'ping', opcode: 9, text: 'p'.repeat(length) })) },
  ),
  { maxLength: 12 },
);

test('reads the same frames however the bytes are split', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.nat(), { maxLength: 40 }), fc.boolean(), (sent, cuts, keepPayloads) => {
      const bytes = Buffer.concat(sent.map(({ opcode, text }) => serverFrame(opcode, Buffer.from(text))));
      const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
      const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
      const expected = sent.map(({ kind, text }) => `${kind} ${kind === 'ping' || keepPayloads ? text : text.length}`);
      expect(read(chunks, keepPayloads)).toEqual(expected);
    }),
  );
});

test('joins the fragments of a message, even with a ping in between', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(300), { minLength: 2, maxLength: 5 }), fc.boolean(), (lengths, keepPayloads) => {
      const parts = lengths.map((length) => Buffer.from('m'.repeat(length)));
      const last = parts.length - 1;
      const sent = parts.map((part, i) => serverFrame(i === 0 ? 1 : 0, part, i === last ? 0x80 : 0));
      const text = Buffer.concat(parts).toString();
      const bytes = [
        ...sent.slice(0, 1),
        serverFrame(9, Buffer.from('p')),
        ...sent.slice(1),
        serverFrame(1, parts[0] as Buffer),
      ];
      const event = (payload: string) => `message ${keepPayloads ? payload : payload.length}`;
      expect(read(bytes, keepPayloads)).toEqual(['ping p', event(text), event(String(parts[0]))]);
    }),
  );
});

test('passes on a close frame with its payload', () => {
  expect(read([Buffer.from([0x88, 2, 0x0f, 0xa0])], false)).toEqual(['close 0fa0']);
  expect(read([Buffer.from([0x88, 0])], true)).toEqual(['close ']);
});

test.each([
  ['a continuation without a start', [0x80, 1, 65]],
  ['a message inside a fragmented one', [0x01, 1, 65, 0x81, 1, 65]],
  ['a frame with reserved bits set', [0xc1, 1, 65]],
  ['a masked frame', [0x81, 0x81, 0, 0, 0, 0, 65]],
])('rejects %s, which would be miscounted', (_, bytes) => {
  expect(() => read([Buffer.from(bytes)], false)).toThrow('the server sent');
});
