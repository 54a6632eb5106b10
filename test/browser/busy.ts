import type { Page } from 'playwright-core';
import type { Room } from 'pumphouse/client';
import type { Text } from './page.ts';

/** What a page in a busy room came to. */
export interface Busy {
  /** Milliseconds of each task over 50, once the page had got going. */
  readonly longTasks: readonly number[];
  /** MiB of JavaScript's heap after a collection, and DOM nodes, at equal intervals. */
  readonly heaps: readonly number[];
  readonly nodes: readonly number[];
  readonly sent: number;
}

const EVERY_MS = 100;
const SETTLING_MS = 3_000;

/**
 * Looks at a page while five authors say `perMinute` messages of different lengths in its room.
 *
 * @param looks how often its memory is looked at.
 */
export async function busy(
  page: Page,
  room: Room<Text, unknown>,
  perMinute: number,
  ms: number,
  looks: number,
): Promise<Busy> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable');
  const measure = async () => {
    await devtools.send('HeapProfiler.collectGarbage');
    const { metrics } = await devtools.send('Performance.getMetrics');
    const of = (name: string) => metrics.find((metric) => metric.name === name)?.value ?? Number.NaN;
    return { heap: of('JSHeapUsedSize') / 2 ** 20, nodes: of('Nodes') };
  };
  await page.evaluate(`window.tasks = []; new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) tasks.push(Math.round(duration));
  }).observe({ type: 'longtask' })`);

  let sent = 0;
  const speaking = setInterval(() => {
    for (let due = (perMinute / 60_000) * EVERY_MS; due > Math.random(); due--) {
      const words = 'the pump in the east hall is steady '.repeat(1 + (sent % 4));
      void room.send({ text: `${sent++}: ${words}` });
    }
  }, EVERY_MS);
  const wait = (time: number) => new Promise((resolve) => setTimeout(resolve, time));
  await wait(SETTLING_MS);
  const measured = [await measure()];
  const longTasks: number[] = [];
  for (let look = 0; look < looks; look++) {
    // A collection of garbage that was asked for is a task of its own.
    await wait(200);
    await page.evaluate('tasks.length = 0');
    await wait(ms / looks);
    longTasks.push(...(await page.evaluate<number[]>('tasks')));
    measured.push(await measure());
  }
  clearInterval(speaking);
  return { longTasks, heaps: measured.map(({ heap }) => heap), nodes: measured.map(({ nodes }) => nodes), sent };
}
