import type { Page } from 'playwright-core';
import type { Room } from 'pumphouse/client';
import type { Text } from './page.ts';

/** Measurements of a page in a busy room. */
export interface BusyRoom {
  /** The duration of each task over 50 ms after the warm-up, in milliseconds. */
  readonly longTasks: readonly number[];
  /** The size of the JavaScript heap after each garbage collection, in MiB, at equal intervals. */
  readonly heaps: readonly number[];
  /** The number of DOM nodes, at equal intervals. */
  readonly nodes: readonly number[];
  readonly sent: number;
}

const SEND_INTERVAL_MS = 100;
const WARM_UP_MS = 3_000;

/**
 * Measures a page while a client sends messages of different lengths to its room.
 *
 * @param perMinute the number of messages sent per minute.
 * @param ms the duration, in milliseconds.
 * @param samples the number of memory measurements.
 */
export async function measureBusyRoom(
  page: Page,
  room: Room<Text, unknown>,
  perMinute: number,
  ms: number,
  samples: number,
): Promise<BusyRoom> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable');
  const measure = async () => {
    await devtools.send('HeapProfiler.collectGarbage');
    const { metrics } = await devtools.send('Performance.getMetrics');
    const metric = (name: string) => metrics.find((each) => each.name === name)?.value ?? Number.NaN;
    return { heap: metric('JSHeapUsedSize') / 2 ** 20, nodes: metric('Nodes') };
  };
  await page.evaluate(`window.tasks = []; new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) tasks.push(Math.round(duration));
  }).observe({ type: 'longtask' })`);

  let sent = 0;
  const sending = setInterval(() => {
    for (let due = (perMinute / 60_000) * SEND_INTERVAL_MS; due > Math.random(); due--) {
      const text = 'the pump in the east hall is steady '.repeat(1 + (sent % 4));
      void room.send({ text: `${sent++}: ${text}` });
    }
  }, SEND_INTERVAL_MS);
  const wait = (time: number) => new Promise((resolve) => setTimeout(resolve, time));
  await wait(WARM_UP_MS);
  const memory = [await measure()];
  const longTasks: number[] = [];
  for (let sample = 0; sample < samples; sample++) {
    // The requested garbage collection is a long task too. Excludes it.
    await wait(200);
    await page.evaluate('tasks.length = 0');
    await wait(ms / samples);
    longTasks.push(...(await page.evaluate<number[]>('tasks')));
    memory.push(await measure());
  }
  clearInterval(sending);
  return { longTasks, heaps: memory.map(({ heap }) => heap), nodes: memory.map(({ nodes }) => nodes), sent };
}
