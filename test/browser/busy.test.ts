import { expect, test } from 'vitest';
import { type BusyRoom, markdownText, maxAddedAtOnce, measureBusyRoom, plainText } from './busy.ts';
import { distanceFromEnd, draft, messageTexts, useChat, waitForMessage } from './page.ts';

const chat = useChat(['--publish-rate', 'off']);

/** `BUSY_MINUTES=10` measures for longer and prints the result. */
const minutes = Number(process.env['BUSY_MINUTES'] ?? 0.1);
/** The page's limit for entries in the log, and for new ones that it renders at once. */
const MAX_ENTRIES = 300;
const MAX_NEW = 30;

test('stays responsive with constant memory at 5,000 messages a minute, plain or with Markdown', {
  timeout: minutes * 60_000 + 60_000,
}, async () => {
  const page = await chat.openAs('ada', { room: 'busy' });
  const bob = chat.bot('bob', 'busy');
  const typing = page.locator('#input').pressSequentially('still answering', { delay: 100 });
  const load = { perMinute: 5_000, ms: minutes * 30_000, samples: Math.max(2, Math.ceil(minutes / 2)) };
  const plain = await measureBusyRoom(page, bob, { ...load, textOf: plainText });
  const markdown = await measureBusyRoom(page, bob, { ...load, textOf: markdownText });
  await typing;
  if (minutes >= 1) console.log(JSON.stringify({ plain, markdown }, undefined, 1));
  expect(plain.sent + markdown.sent).toBeGreaterThan(minutes * 4_500);
  expect(await page.locator('.rows .code-block').count()).toBeGreaterThan(0);
  expect(await draft(page)).toBe('still answering');
  expect((await messageTexts(page)).length).toBeLessThanOrEqual(MAX_ENTRIES);
  expect(await distanceFromEnd(page)).toBeLessThan(4);
  for (const result of [plain, markdown]) expectSteady(result);
});

function expectSteady({ longTasks, rows, heaps, nodes }: BusyRoom): void {
  // Allows one long task: the machine also runs the server and the sender.
  expect(longTasks.filter((ms) => ms > 50).length).toBeLessThanOrEqual(1);
  expect(rows).toBeLessThanOrEqual(MAX_ENTRIES);
  const [first = 0, ...later] = heaps;
  expect(Math.max(...later)).toBeLessThan(first + 2);
  expect(Math.max(...nodes)).toBeLessThan(10_000);
}

test('spreads the rendering of a flood over frames, and shows all that it keeps in the end', async () => {
  const page = await chat.openAs('ada', { room: 'flood' });
  const bob = chat.bot('bob', 'flood');
  await bob.send({ text: '**before**' });
  await page.locator('.rich').waitFor();
  const max = await maxAddedAtOnce(page, async () => {
    await Promise.all(Array.from({ length: 900 }, (_, index) => bob.send({ text: markdownText(index) })));
    await bob.send({ text: 'the end' });
    await waitForMessage(page, 'the end');
    expect(await distanceFromEnd(page)).toBeLessThan(4);
    await expect.poll(async () => (await messageTexts(page)).length).toBe(MAX_ENTRIES);
  });
  expect(max).toBeLessThanOrEqual(MAX_NEW);
  const numbers = (await messageTexts(page)).map((text) => Number(/\d+/.exec(text)?.[0]));
  expect(numbers.slice(0, -1)).toEqual(Array.from({ length: MAX_ENTRIES - 1 }, (_, at) => 601 + at));
  expect(await distanceFromEnd(page)).toBeLessThan(4);
});
