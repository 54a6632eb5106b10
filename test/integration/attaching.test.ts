import { once } from 'node:events';
import { createServer, type Server } from 'pumphouse';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { memory } from '../../src/engine/memory.ts';
import type { Engine } from '../../src/hub/engine.ts';

let server: Server | undefined;
/** Attachments that wait. */
const waiting: (() => void)[] = [];
afterEach(async () => {
  for (const attach of waiting) attach();
  await server?.stop();
});

/** An engine in memory that attaches its rooms when a test says so, as a worker's takes time. */
function lateEngine(): Engine {
  const { attach, ...local } = memory();
  const attachLater = async (room: string) => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return attach(room);
  };
  return { ...local, attach: attachLater };
}

test('starts to attach the room of a subscriber before it accepts the handshake', async () => {
  server = await createServer({ port: 0, drainWindow: 0, wire: 'coder', engine: lateEngine() });
  const { port, url, hub } = server;
  const before: number[] = [];
  hub.events.on('connected', () => before.push(waiting.length));
  const socket = new WebSocket(`ws://127.0.0.1:${port}/subscribe`);
  await once(socket, 'open');
  expect(before).toEqual([1]);
  waiting[0]?.();
  const frame = once(socket, 'message');
  expect((await fetch(`${url}/publish`, { method: 'POST', body: 'hello' })).status).toBe(202);
  expect(String((await frame)[0])).toBe('hello');
  socket.terminate();
});
