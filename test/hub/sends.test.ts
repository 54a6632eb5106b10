import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Sends, sendKey } from '../../src/hub/sends.ts';

const MS = 1000;
const MESSAGES = 20;

describe('what was sent', () => {
  test('is known for the window and as many messages as were promised, and forgotten some time after', () => {
    const step = fc.record({ wait: fc.oneof(fc.nat(30), fc.nat(800)), sender: fc.constantFrom('a', 'b') });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const sends = new Sends({ ms: MS, messages: MESSAGES }, 0);
        const said: { sender: string; at: number }[] = [];
        let now = 0;
        for (const { wait, sender } of steps) {
          now += wait;
          sends.remember(sendKey(sender, `${said.length}`), said.length + 1, now);
          said.push({ sender, at: now });
          said.forEach(({ sender: by, at }, index) => {
            const after = said.length - 1 - index;
            const seq = sends.find(sendKey(by, `${index}`))?.seq;
            if (now - at < MS && after < MESSAGES) expect(seq).toBe(index + 1);
            if (after > 2 * MESSAGES) expect(seq).toBeUndefined();
          });
        }
      }),
    );
  });

  test('is told apart by sender, even where names and ids run together', () => {
    const sends = new Sends({ ms: MS, messages: MESSAGES }, 0);
    sends.remember(sendKey('a', 'bc'), 1, 0);
    expect(sends.find(sendKey('ab', 'c'))).toBeUndefined();
    expect(sends.find(sendKey('a', 'bc'))?.seq).toBe(1);
  });

  test('gets its seq when it is known, and is as if never sent when it was not stored', () => {
    const sends = new Sends({ ms: MS, messages: MESSAGES }, 0);
    const send = sends.remember(sendKey('a', 'one'), 0, 0);
    send.seq = 7;
    expect(sends.find(sendKey('a', 'one'))?.seq).toBe(7);
    sends.remember(sendKey('a', 'two'), 0, 0);
    sends.forget(sendKey('a', 'two'));
    expect(sends.find(sendKey('a', 'two'))).toBeUndefined();
  });
});
