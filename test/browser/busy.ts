import type { Page } from 'playwright-core';
import type { Room } from 'pumphouse/client';
import type { Text } from './page.ts';

/** Measurements of a page in a busy room. */
export interface BusyRoom {
  /** The duration of each task over 50 ms after the warm-up, in milliseconds. */
  readonly longTasks: readonly number[];
  /** The longest time between two frames after the warm-up, in milliseconds. */
  readonly longestFrame: number;
  /** The maximum number of messages in the log in a frame. */
  readonly rows: number;
  /** The size of the JavaScript heap after each garbage collection, in MiB, at equal intervals. */
  readonly heaps: readonly number[];
  /** The number of DOM nodes, at equal intervals. */
  readonly nodes: readonly number[];
  readonly sent: number;
}

/** How to load a room. */
export interface Load {
  /** Returns the text of a message. */
  readonly textOf: (index: number) => string;
  /** The number of messages sent per minute. */
  readonly perMinute: number;
  /** The duration after the warm-up, in milliseconds. */
  readonly ms: number;
  /** The number of memory measurements. */
  readonly samples: number;
}

const SEND_INTERVAL_MS = 100;
const WARM_UP_MS = 1_500;

/** Returns a plain text of one to four lines. */
export function plainText(index: number): string {
  return `${index}: ${'the pump in the east hall is steady '.repeat(1 + (index % 4))}`;
}

/** Returns a text with emphasis, code, a list, a quote, links, emoji or mentions. */
export function markdownText(index: number): string {
  const texts = [
    `**${index}** the pump in the *east hall*, see [the log](https://example.com/${index}) 🚰`,
    `${index}: output:\n\`\`\`sh\n$ pump --status ${index}\nok 200\n\`\`\``,
    `${index} todo:\n- check **valve** 7\n- call @ada about \`pump.cfg\`\n- see https://example.com/a?b=${index}`,
    `> quoted ${index}\n\nyes, ~~no~~ _really_ 👍 @bob`,
  ];
  return texts[index % texts.length] as string;
}

/** Measures a page while a client sends messages of different lengths to its room. */
export async function measureBusyRoom(
  page: Page,
  room: Room<Text, unknown>,
  { textOf, perMinute, ms, samples }: Load,
): Promise<BusyRoom> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable');
  const measure = async () => {
    await devtools.send('HeapProfiler.collectGarbage');
    const { metrics } = await devtools.send('Performance.getMetrics');
    const metric = (name: string) => metrics.find((each) => each.name === name)?.value ?? Number.NaN;
    return { heap: metric('JSHeapUsedSize') / 2 ** 20, nodes: metric('Nodes') };
  };
  await page.evaluate(`
    if (!window.tasks) {
      [window.tasks, window.frames, window.rows] = [[], [], 0];
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) tasks.push(Math.round(duration));
      }).observe({ type: 'longtask' });
      const messages = document.querySelector('.rows').getElementsByClassName('message');
      let previous = performance.now();
      const frame = (now) => {
        frames.push(Math.round(now - previous));
        previous = now;
        rows = Math.max(rows, messages.length);
        requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    }
  `);

  let sent = 0;
  const sending = setInterval(() => {
    for (let due = (perMinute / 60_000) * SEND_INTERVAL_MS; due > Math.random(); due--) {
      void room.send({ text: textOf(sent++) });
    }
  }, SEND_INTERVAL_MS);
  const wait = (time: number) => new Promise((resolve) => setTimeout(resolve, time));
  await wait(WARM_UP_MS);
  const memory = [await measure()];
  const longTasks: number[] = [];
  const frames: number[] = [];
  for (let sample = 0; sample < samples; sample++) {
    // The requested garbage collection is a long task too. Excludes it.
    await wait(200);
    await page.evaluate('tasks.length = frames.length = 0');
    await wait(ms / samples);
    longTasks.push(...(await page.evaluate<number[]>('tasks')));
    frames.push(...(await page.evaluate<number[]>('frames')));
    memory.push(await measure());
  }
  clearInterval(sending);
  await devtools.detach();
  return {
    longTasks,
    longestFrame: Math.max(...frames),
    rows: await page.evaluate<number>('rows'),
    heaps: memory.map(({ heap }) => heap),
    nodes: memory.map(({ nodes }) => nodes),
    sent,
  };
}

/**
 * Counts the messages that each update of the log adds, while `flood` runs.
 *
 * @returns the maximum.
 */
export async function maxAddedAtOnce(page: Page, flood: () => Promise<void>): Promise<number> {
  await page.evaluate(`
    window.maxAdded = 0;
    new MutationObserver((changes) => {
      const added = changes.flatMap(({ addedNodes }) => [...addedNodes]);
      maxAdded = Math.max(maxAdded, added.filter((node) => node.classList?.contains('message')).length);
    }).observe(document.querySelector('.rows'), { childList: true });
  `);
  await flood();
  return page.evaluate<number>('maxAdded');
}
