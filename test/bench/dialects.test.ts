import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type DialectName, dialects } from '../../bench/dialects/index.ts';
import { type MessageName, messageOf } from '../../bench/generator/message.ts';

const BYTES = 24;
const text = ({ sender, seq }: MessageName) => messageOf(sender, seq, BYTES);

/** What a server of each kind makes of messages, in frames of several where it merges them. */
const frames: Record<DialectName, (messages: readonly MessageName[], each: number) => string[]> = {
  gorilla: (messages, each) => chunks(messages.map(text), each).map((frame) => frame.join('\n')),
  v1: (messages, each) => {
    const line = (message: MessageName, i: number) => {
      const said = { t: 'message', room: 'lobby', seq: i + 8, id: 'x', from: 'x', at: 1, data: text(message) };
      return [JSON.stringify(said), ...(i % 3 === 0 ? ['{"t":"sent","room":"lobby","id":"x","seq":999}'] : [])];
    };
    return chunks(messages.flatMap(line), each).map((frame) => frame.join('\n'));
  },
  'socket.io': (messages) => messages.map((message) => `42["message","${text(message)}"]`),
};
const greetings: Record<DialectName, readonly string[]> = {
  gorilla: ['anything'],
  v1: ['{"t":"welcome"}', '{"t":"presence"}\n{"t":"joined","room":"lobby","epoch":"e","seq":7,"recovered":true}'],
  'socket.io': ['0{"sid":"x"}', '40{"sid":"y"}'],
};

function chunks<T>(all: readonly T[], each: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / each) }, (_, i) => all.slice(i * each, (i + 1) * each));
}

const names = Object.keys(dialects) as DialectName[];

test.each(names)('%s: what is counted, with payloads only where they are needed, is what is read', (name) => {
  const message = fc.record({ sender: fc.nat(1000), seq: fc.nat(99_999) });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 30 }), fc.integer({ min: 1, max: 7 }), (messages, each) => {
      const ear = dialects[name].ear(BYTES);
      expect(greetings[name].map((frame) => ear.greet(Buffer.from(frame))).at(-1)).toBe(true);
      const read: MessageName[] = [];
      let counted = 0;
      for (const frame of frames[name](messages, each)) {
        const bytes = Buffer.from(frame);
        counted += ear.count(ear.whole ? bytes : undefined, bytes.length);
        ear.read(bytes, (message, words) => {
          expect(words === '' || words.includes(text(message as MessageName))).toBe(true);
          if (message) read.push(message);
        });
      }
      expect(counted).toBe(messages.length);
      expect(read).toEqual(messages);
    }),
  );
});

test.each<[DialectName, string]>([
  ['gorilla', 'a word from elsewhere'],
  ['v1', '{"t":"error","code":"busy"}'],
  ['v1', '{"t":"gap","room":"lobby"}'],
  ['v1', '{"t":"message","room":"lobby","seq":8,"data":"something else"}'],
  ['socket.io', '42["message","something else"]'],
])('%s: %s is something that nobody sent', (name, frame) => {
  const strangers: string[] = [];
  dialects[name].ear(BYTES).read(Buffer.from(frame), (message, words) => !message && strangers.push(words));
  expect(strangers).toEqual([frame]);
});

test('who is not let in, or has a gap before it begins, hears why', () => {
  const ear = dialects.v1.ear(BYTES);
  expect(() => ear.greet(Buffer.from('{"t":"error","code":"forbidden"}'))).toThrow('it cannot join: forbidden');
  const joined = '{"t":"joined","room":"lobby","epoch":"e","seq":7,"recovered":false}';
  expect(() => ear.greet(Buffer.from(joined))).toThrow('what it asked for is not there any more');
});

test('a ping of Socket.IO is answered, and is no message', () => {
  const ear = dialects['socket.io'].ear(BYTES);
  expect([ear.count(undefined, 1), ear.answer?.(1), ear.answer?.(20)]).toEqual([0, '3', undefined]);
});
