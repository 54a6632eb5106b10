import { afterEach, expect, test } from 'vitest';
import { until } from '../integration/server.ts';
import { type Server, startServer } from '../server.ts';
import { EventReader } from './reader.ts';

let server: Server | undefined;
afterEach(() => server?.kill('SIGKILL'));

test.each([['1'], ['2']])(
  'the command streams with %s workers, counts and drains streams',
  async (workers) => {
    server = await startServer(['--workers', workers, '--engine', 'memory']);
    const { url } = server;
    const readers = await Promise.all(
      Array.from({ length: 6 }, (_, i) => EventReader.open(`${url}/api/v1/rooms/lobby/events?user=u${i}`)),
    );
    for (const reader of readers) await reader.next('joined');
    /** Returns the connections of all threads. */
    const connections = async () => {
      const metrics = await (await fetch(`${url}/metrics`)).text();
      return [...metrics.matchAll(/^pumphouse_connections(?:\{.*\})? (\d+)$/gm)].reduce(
        (sum, [, n]) => sum + Number(n),
        0,
      );
    };
    expect(await connections()).toBe(6);
    for (let i = 0; i < 3; i++) await fetch(`${url}/publish`, { method: 'POST', body: `${i}` });
    await until('all messages arrive', () => readers.every((reader) => reader.all().length === 3));
    for (const reader of readers)
      expect(reader.all().map(({ data }) => data)).toEqual([0, 1, 2].map((i) => ({ text: `${i}` })));
    readers.pop()?.close();
    while ((await connections()) !== 5) await new Promise((resolve) => setTimeout(resolve, 20));
    const stopped = server.kill('SIGTERM');
    for (const reader of readers) {
      expect(JSON.parse((await reader.next('close')).data)).toMatchObject({ code: 1001 });
      expect(await reader.ended).toBe(true);
    }
    await stopped;
  },
  60_000,
);
