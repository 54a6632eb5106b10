import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';

let server: ChildProcess;
let port: number;

beforeEach(async () => {
  const env = { ...process.env, PORT: '0' };
  server = spawn(process.execPath, ['--import', 'tsx', 'examples/telnet-chat.ts'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface({ input: server.stdout as NodeJS.ReadableStream }), 'line');
  port = Number(/\d+$/.exec(line)?.[0]);
});

afterEach(() => {
  server.kill();
});

/** Connects as a terminal. `line` resolves to the next line of output. */
function openTerminal(): { tcp: Socket; line: () => Promise<string> } {
  const tcp = connect(port, '127.0.0.1');
  const lines = createInterface({ input: tcp })[Symbol.asyncIterator]();
  return { tcp, line: async () => (await lines.next()).value };
}

test('relays lines between two terminals, and closes one that sends a long line', async () => {
  const ada = openTerminal();
  expect(await ada.line()).toBe('* hello tcp-1, 1 here');
  const bob = openTerminal();
  expect(await bob.line()).toBe('* hello tcp-2, 2 here');
  ada.tcp.write('hello\n');
  expect(await ada.line()).toBe('hello');
  expect(await bob.line()).toBe('hello');
  bob.tcp.write('one\ntwo\n');
  expect([await ada.line(), await ada.line()]).toEqual(['one', 'two']);
  bob.tcp.write(`${'x'.repeat(513)}\n`);
  expect([await bob.line(), await bob.line()]).toEqual(['one', 'two']);
  expect(await bob.line()).toMatch(/^\* closed: 1009/);
  ada.tcp.destroy();
});
