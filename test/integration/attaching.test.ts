import { once } from 'node:events';
import { createServer, type Server } from 'pumphouse';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { memory } from '../../src/engine/memory.ts';
import type { Engine } from '../../src/hub/engine.ts';

let server: Server | undefined;
afterEach(() => server?.stop());

/** An engine in memory that attaches its rooms when a test says so, as a worker's takes time. */
function lateEngine(): { readonly engine: Engine; readonly waiting: (() => void)[] } {
  const { attach, ...local } = memory();
  const waiting: (() => void)[] = [];
  const attachLater = async (room: string) => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return attach(room);
  };
  return { engine: { ...local, attach: attachLater }, waiting };
}

test('accepts a subscriber once its room is attached: every later post reaches it', async () => {
  const { engine, waiting } = lateEngine();
  server = await createServer({ port: 0, drainWindow: 0, wire: 'coder', engine });
  const { port, url } = server;
  const states: string[] = [];
  const socket = new WebSocket(`ws://127.0.0.1:${port}/subscribe`);
  const opened = once(socket, 'open').then(() => states.push('open'));
  await expect.poll(() => waiting.length).toBe(1);
  await new Promise((resolve) => setTimeout(resolve, 100));
  states.push('attached');
  waiting[0]?.();
  await opened;
  expect(states).toEqual(['attached', 'open']);
  const frame = once(socket, 'message');
  expect((await fetch(`${url}/publish`, { method: 'POST', body: 'hello' })).status).toBe(202);
  expect(String((await frame)[0])).toBe('hello');
  socket.terminate();
});
