import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type MessageId, messageOf } from '../../bench/generator/message.ts';
import { type Decoder, type WireName, wires } from '../../bench/wires/index.ts';

const BYTES = 24;
const text = ({ sender, seq }: MessageId) => messageOf(sender, seq, BYTES);

const socketIoFrames = (messages: readonly MessageId[]) =>
  messages.map((message) => `42["message","${text(message)}"]`);

/** How each kind of server frames messages; `perFrame` applies to those that merge messages. */
const frames: Record<WireName, (messages: readonly MessageId[], perFrame: number) => string[]> = {
  gorilla: (messages, perFrame) => chunks(messages.map(text), perFrame).map((frame) => frame.join('\n')),
  v1: (messages, perFrame) => {
    const line = (message: MessageId, i: number) => {
      const event = { t: 'message', room: 'lobby', seq: i + 8, id: 'x', from: 'x', at: 1, data: text(message) };
      return [JSON.stringify(event), ...(i % 3 === 0 ? ['{"t":"sent","room":"lobby","id":"x","seq":999}'] : [])];
    };
    return chunks(messages.flatMap(line), perFrame).map((frame) => frame.join('\n'));
  },
  'socket.io': socketIoFrames,
  'socket.io-rooms': socketIoFrames,
};
const joinFrames: Record<WireName, readonly string[]> = {
  gorilla: ['anything'],
  v1: ['{"t":"welcome"}', '{"t":"presence"}\n{"t":"joined","room":"lobby","epoch":"e","seq":7,"recovered":true}'],
  'socket.io': ['0{"sid":"x"}', '40{"sid":"y"}'],
  'socket.io-rooms': ['0{"sid":"x"}', '40{"sid":"y"}'],
};

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

const names = Object.keys(wires) as WireName[];

test.each(names)('%s: counts the messages that it decodes, with payloads only if it needs them', (name) => {
  const message = fc.record({ sender: fc.nat(1000), seq: fc.nat(99_999) });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 30 }), fc.integer({ min: 1, max: 7 }), (messages, perFrame) => {
      const decoder = wires[name].decoder(BYTES);
      expect(joinFrames[name].map((frame) => decoder.joined(Buffer.from(frame))).at(-1)).toBe(true);
      const decoded: MessageId[] = [];
      let counted = 0;
      for (const frame of frames[name](messages, perFrame)) {
        const bytes = Buffer.from(frame);
        counted += decoder.count(decoder.needsPayload ? bytes : undefined, bytes.length);
        decoder.decode(bytes, (message, line) => {
          expect(line === '' || line.includes(text(message as MessageId))).toBe(true);
          if (message) decoded.push(message);
        });
      }
      expect(counted).toBe(messages.length);
      expect(decoded).toEqual(messages);
    }),
  );
});

test.each<[WireName, string]>([
  ['gorilla', 'a foreign line'],
  ['v1', '{"t":"error","code":"busy"}'],
  ['v1', '{"t":"gap","room":"lobby"}'],
  ['v1', '{"t":"message","room":"lobby","seq":8,"data":"something else"}'],
  ['socket.io', '42["message","something else"]'],
])('%s: reports %s as unknown', (name, frame) => {
  const unknown: string[] = [];
  wires[name].decoder(BYTES).decode(Buffer.from(frame), (message, line) => !message && unknown.push(line));
  expect(unknown).toEqual([frame]);
});

test('reports why a join is rejected or cannot resume', () => {
  const decoder = wires.v1.decoder(BYTES);
  expect(() => decoder.joined(Buffer.from('{"t":"error","code":"forbidden"}'))).toThrow(
    'the server rejects the join: forbidden',
  );
  const joined = '{"t":"joined","room":"lobby","epoch":"e","seq":7,"recovered":false}';
  expect(() => decoder.joined(Buffer.from(joined))).toThrow('the server no longer has the missed messages');
});

test('checks the number of each message on request: a hole is not counted, and a step back is reported', () => {
  const counts = (decoder: Decoder, ...frames: readonly (readonly number[])[]) =>
    frames.map((seqs) => {
      const lines = seqs.map((seq) => `{"t":"message","room":"lobby","seq":${seq},"data":"x"}`);
      const frame = Buffer.from(lines.join('\n'));
      return decoder.count(frame, frame.length);
    });
  const decoderAt7 = (checksNumbers: boolean) => {
    const decoder = wires.v1.decoder(BYTES, checksNumbers);
    decoder.joined(Buffer.from('{"t":"joined","room":"lobby","epoch":"e","seq":7,"recovered":true}'));
    return decoder;
  };
  const checking = decoderAt7(true);
  expect(counts(checking, [8, 9], [11])).toEqual([2, 1]);
  expect(checking.outOfSequence).toBe(0);
  expect(counts(checking, [13, 12])).toEqual([2]);
  expect(checking.outOfSequence).toBe(1);
  expect(counts(decoderAt7(false), [8, 9, 11])).toEqual([4]);
});

test('detects without that request a hole or a step back between frames', () => {
  const decoder = wires.v1.decoder(BYTES);
  decoder.joined(Buffer.from('{"t":"joined","room":"lobby","epoch":"e","seq":7,"recovered":true}'));
  const count = (...seqs: readonly number[]) => {
    const lines = seqs.map((seq) => `{"t":"message","room":"lobby","seq":${seq},"data":"x"}`);
    return decoder.count(Buffer.from(lines.join('\n')), 0);
  };
  expect([count(8, 9), count(11, 12), decoder.outOfSequence]).toEqual([2, 2, 0]);
  expect([count(12, 13), decoder.outOfSequence]).toEqual([2, 1]);
});

test('joins a room of Socket.IO in the handshake', () => {
  expect(wires['socket.io-rooms'].join('room-3', undefined)).toEqual(['40{"room":"room-3"}']);
});

test('answers a ping of Socket.IO without counting it as a message', () => {
  const decoder = wires['socket.io'].decoder(BYTES);
  expect([decoder.count(undefined, 1), decoder.reply?.(1), decoder.reply?.(20)]).toEqual([0, '3', undefined]);
});
