import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Peer } from '../conformance/server.ts';

let server: ChildProcess;
let port: number;

beforeEach(async () => {
  const env = { ...process.env, PORT: '0' };
  server = spawn(process.execPath, ['--import', 'tsx', 'examples/members-only.ts'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface({ input: server.stdout as NodeJS.ReadableStream }), 'line');
  port = Number(/\d+$/.exec(line)?.[0]);
});

afterEach(async () => {
  server.kill();
  expect(await once(server, 'exit')).toEqual([0, null]);
});

test('authenticates members, greets them, and enforces the rules of each room', async () => {
  const stranger = new WebSocket(`ws://127.0.0.1:${port}/ws?token=guess`, 'pumphouse.v1');
  const [code] = await once(stranger, 'close');
  expect(code).toBe(4503);

  const bob = await Peer.connect(port, '?token=bob-2&user=ada');
  expect(await bob.next('welcome')).toMatchObject({ user: 'bob' });
  await bob.join('lobby');
  expect(await bob.next('message')).toMatchObject({ from: 'greeter', data: { text: 'welcome, bob' } });
  bob.send({ t: 'join', room: 'staff' });
  expect(await bob.next('error')).toMatchObject({ code: 'forbidden', message: 'this room is for the staff' });
  bob.send({ t: 'send', room: 'lobby', id: '1', data: { text: 'HELLO!' } });
  expect(await bob.next('error')).toMatchObject({ code: 'forbidden', id: '1', message: 'please do not shout' });
  expect(await bob.say('lobby', { text: 'hello' })).toMatchObject({ seq: 2 });

  const ada = await Peer.connect(port, '?token=ada-1');
  expect(await ada.join('staff')).toMatchObject({ room: 'staff' });
});
