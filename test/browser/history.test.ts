import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  distanceFromEnd,
  messageTexts,
  scrollTo,
  send,
  sendLines,
  topOf,
  useChat,
  waitForMessage,
  waitForPaint,
} from './page.ts';

/** The page's limit for entries in the log. */
const MAX_ENTRIES = 300;
const MESSAGES = 10_000;

const folder = mkdtempSync(join(tmpdir(), 'pumphouse-history-'));
const chat = useChat(['--publish-rate', 'off', '--engine', 'lmdb', '--data', join(folder, 'data')]);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const rowCount = (page: Awaited<ReturnType<typeof chat.newPage>>) => page.locator('.rows > li').count();

describe('a room with 10,000 messages', () => {
  beforeAll(async () => {
    if (!chat.server()) return;
    const bob = chat.bot('bob', 'long');
    await sendLines(bob, 'line', MESSAGES);
  }, 60_000);

  test('opens at the newest message, and loads older ones on scrolling up without moving the view', async () => {
    const page = await chat.openAs('ada', { room: 'long' });
    await waitForMessage(page, `line ${MESSAGES - 1}`);
    expect(await distanceFromEnd(page)).toBeLessThan(4);
    expect((await messageTexts(page)).length).toBe(100);
    // Scrolls to the first loaded message each time, until 1,000 messages are loaded.
    for (let first = MESSAGES - 100; first > MESSAGES - 1_000; first -= 100) {
      await scrollTo(page, `line ${first}`);
      const before = await topOf(page, `line ${first}`);
      await page
        .locator('.text')
        .getByText(`line ${first - 100}`, { exact: true })
        .waitFor({ state: 'attached' });
      await waitForPaint(page);
      expect(Math.abs((await topOf(page, `line ${first}`)) - before)).toBeLessThan(1.5);
      expect(await rowCount(page)).toBeLessThanOrEqual(MAX_ENTRIES + 5);
    }
    const lines = (await messageTexts(page)).map((text) => Number(text.slice(5)));
    expect(lines.every((line, at) => at === 0 || line === (lines[at - 1] as number) + 1)).toBe(true);
    expect(lines.at(-1)).toBeLessThan(MESSAGES - 500);

    await page.getByRole('button', { name: 'Jump to latest' }).click();
    await waitForMessage(page, `line ${MESSAGES - 1}`);
    expect(await distanceFromEnd(page)).toBeLessThan(4);
  });

  test('can be scrolled to its beginning and back', async () => {
    const page = await chat.openAs('ada', { room: 'long' });
    await waitForMessage(page, `line ${MESSAGES - 1}`);
    await page.evaluate(`new Promise((done) => {
      const up = () => {
        document.querySelector('.log').scrollTop = 0;
        if (document.body.textContent.includes('This is the beginning of the room')) done();
        else requestAnimationFrame(up);
      };
      up();
    })`);
    expect((await messageTexts(page))[0]).toBe('line 0');
    expect(await rowCount(page)).toBeLessThanOrEqual(MAX_ENTRIES + 5);
    for (let wheel = 0; wheel < 5; wheel++) {
      const last = (await messageTexts(page)).at(-1) as string;
      await scrollTo(page, last);
      const next = `line ${Number(last.slice(5)) + 1}`;
      await page.locator('.text').getByText(next, { exact: true }).waitFor({ state: 'attached' });
    }
    expect((await messageTexts(page))[0]).not.toBe('line 0');
    const text = `sent while scrolled back, at ${Date.now()}`; // once, also in a second attempt
    await send(page, text);
    await waitForMessage(page, text);
    expect(await distanceFromEnd(page)).toBeLessThan(4);
  });
});

test('counts new messages while scrolled back, without moving the view', async () => {
  const page = await chat.openAs('ada', { room: 'busy' });
  const bob = chat.bot('bob', 'busy');
  await sendLines(bob, 'old', 150);
  await waitForMessage(page, 'old 149');
  await scrollTo(page, 'old 100');
  const before = await topOf(page, 'old 100');
  await sendLines(bob, 'new', 120);
  await page.getByRole('button', { name: '120 new messages' }).waitFor();
  await sendLines(bob, 'newer', 400);
  const jump = page.getByRole('button', { name: '520 new messages' });
  await jump.waitFor();
  await waitForPaint(page);
  expect(Math.abs((await topOf(page, 'old 100')) - before)).toBeLessThan(1.5);
  expect(await rowCount(page)).toBeLessThanOrEqual(MAX_ENTRIES + 5);
  expect(await page.locator('.text').getByText('new 10', { exact: true }).count()).toBe(1);
  await jump.click();
  expect((await messageTexts(page)).at(-1)).toBe('newer 399');
  expect(await distanceFromEnd(page)).toBeLessThan(4);
  expect(await jump.isVisible()).toBe(false);
  expect(await page.evaluate('document.activeElement.id')).toBe('input');
});

test('shows every message that arrived while scrolled back on scrolling down', async () => {
  const page = await chat.openAs('ada', { room: 'catching up' });
  const bob = chat.bot('bob', 'catching up');
  await sendLines(bob, 'line', 150);
  await waitForMessage(page, 'line 149');
  await scrollTo(page, 'line 20');
  await bob.send({ text: 'the 150th' });
  await page.getByRole('button', { name: '1 new message' }).waitFor();
  await sendLines(bob, 'later', 900);
  await page.getByRole('button', { name: '901 new messages' }).waitFor(); // the end is that of all
  const seen = new Set<string>();
  await expect
    .poll(
      async () => {
        const texts = await messageTexts(page);
        for (const text of texts) seen.add(text);
        await scrollTo(page, texts.at(-1) as string);
        return seen.has('later 899') && (await distanceFromEnd(page)) < 4;
      },
      { timeout: 30_000, interval: 10 },
    )
    .toBe(true);
  expect(seen.size).toBe(150 + 1 + 900);
});

test('announces each new message to screen readers once, and no loaded history', async () => {
  const page = await chat.newPage();
  await page.addInitScript(`
    window.announced = [];
    new MutationObserver((changes) => {
      for (const { target, addedNodes } of changes) {
        const region = (target.closest ? target : target.parentElement)?.closest('[aria-live], [role=status], [role=log], [role=alert]');
        const quiet = region?.getAttribute('aria-live') === 'off';
        for (const node of addedNodes) if (region && !quiet && node.nodeName === 'P') announced.push(node.textContent);
      }
    }).observe(document, { childList: true, subtree: true });
  `);
  const bob = chat.bot('bob', 'announcements');
  await sendLines(bob, 'old', 120);
  await page.goto(`${chat.server().url}/#/announcements`);
  await page.getByLabel('Display name').fill('ada');
  await page.keyboard.press('Enter');
  await waitForMessage(page, 'old 119');
  await bob.send({ text: 'are you there?' });
  await expect.poll(() => page.evaluate('announced')).toEqual(['bob: are you there?']);
  await scrollTo(page, 'old 20');
  await page.locator('.text').getByText('old 0', { exact: true }).waitFor({ state: 'attached' });
  await page.getByRole('button', { name: 'Jump to latest' }).or(page.locator('.log')).first().click();
  await sendLines(bob, 'many', 10);
  await expect.poll(() => page.evaluate<string[]>('announced')).toHaveLength(2);
  expect((await page.evaluate<string[]>('announced'))[1]).toMatch(/^\d+ new messages, latest from bob$/);
});
