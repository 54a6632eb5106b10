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

/** What a reader tells of bytes that come in chunks, each in one buffer that the next overwrites. */
function read(chunks: readonly Buffer[], whole: boolean): string[] {
  const told: string[] = [];
  const reader = new FrameReader({
    message: (payload, length) => told.push(`message ${payload ?? length}`),
    ping: (payload) => told.push(`ping ${payload}`),
    close: (payload) => told.push(`close ${payload.toString('hex')}`),
  });
  reader.whole = whole;
  const shared = Buffer.alloc(1_000_000);
  for (const chunk of chunks) {
    chunk.copy(shared);
    reader.read(shared.subarray(0, chunk.length));
  }
  return told;
}

const lengths = fc.oneof(fc.nat(300), fc.constantFrom(125, 126, 65_535, 65_536, 70_000));
const frames = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: lengths.map((length) => ({ kind: 'message', opcode: 1, text: 'm'.repeat(length) })) },
    { weight: 1, arbitrary: fc.nat(125).map((length) => ({ kind: 'ping', opcode: 9, text: 'p'.repeat(length) })) },
  ),
  { maxLength: 12 },
);

test('however the bytes are cut, the frames are the same', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.nat(), { maxLength: 40 }), fc.boolean(), (sent, cuts, whole) => {
      const bytes = Buffer.concat(sent.map(({ opcode, text }) => serverFrame(opcode, Buffer.from(text))));
      const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
      const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end));
      const expected = sent.map(({ kind, text }) => `${kind} ${kind === 'ping' || whole ? text : text.length}`);
      expect(read(chunks, whole)).toEqual(expected);
    }),
  );
});

test('a message in several frames is one, also with a ping in between', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(300), { minLength: 2, maxLength: 5 }), fc.boolean(), (lengths, whole) => {
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
      const told = (said: string) => `message ${whole ? said : said.length}`;
      expect(read(bytes, whole)).toEqual(['ping p', told(text), told(String(parts[0]))]);
    }),
  );
});

test('a close frame is told with its payload', () => {
  expect(read([Buffer.from([0x88, 2, 0x0f, 0xa0])], false)).toEqual(['close 0fa0']);
  expect(read([Buffer.from([0x88, 0])], true)).toEqual(['close ']);
});

test.each([
  ['a continuation of nothing', [0x80, 1, 65]],
  ['a message inside another', [0x01, 1, 65, 0x81, 1, 65]],
  ['an extension', [0xc1, 1, 65]],
  ['a masked frame', [0x81, 0x81, 0, 0, 0, 0, 65]],
])('%s is refused: it would be counted wrongly', (_, bytes) => {
  expect(() => read([Buffer.from(bytes)], false)).toThrow('the server sent');
});
