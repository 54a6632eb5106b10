import type { Page } from 'playwright-core';
import type { Room } from 'pumphouse/client';
import { describe, expect, test } from 'vitest';
import {
  distanceFromEnd,
  leaveRoom,
  messageTexts,
  scrollTo,
  sendLines,
  type Text,
  topOf,
  useChat,
  waitForMessage,
  waitForPaint,
  waitForStatus,
} from './page.ts';

const chat = useChat({ publishRate: 'off' });

let rooms = 0;
/** Returns the name of a room that no other test uses. */
const newRoom = () => `reading ${++rooms}`;

async function openRoom(page: Page, name: string): Promise<void> {
  await page.getByRole('link', { name: new RegExp(`^${name}`) }).click();
  await page.getByRole('heading', { name }).waitFor();
}

/** Opens a room that ada has read up to `old 29`, and another one, which is on the screen. */
async function openBeside(name: string): Promise<{ ada: Page; bob: Room<Text, unknown>; other: string }> {
  const other = newRoom();
  const bob = chat.bot('bob', name);
  await sendLines(bob, 'old', 30);
  const ada = await chat.openAs('ada', { room: name });
  await waitForMessage(ada, 'old 29');
  await ada.getByLabel('Join a room').fill(other);
  await ada.keyboard.press('Enter');
  await ada.getByRole('heading', { name: other }).waitFor();
  return { ada, bob, other };
}

/** Whether a message is on the screen as a whole. */
function isVisible(page: Page, text: string): Promise<boolean> {
  return page
    .locator('.text')
    .getByText(text, { exact: true })
    .evaluateAll((texts) => {
      const log = document.querySelector('.log')?.getBoundingClientRect();
      const text = texts[0]?.getBoundingClientRect();
      return log !== undefined && text !== undefined && text.top >= log.top && text.bottom <= log.bottom;
    });
}

/** Returns the number in the button to the newest message; 0 without the button. */
async function newBelow(page: Page): Promise<number> {
  const [text = '0'] = await page.locator('.jump').allTextContents();
  return Number.parseInt(text.replace(/^Up to /, ''), 10);
}

async function badge(page: Page, name: string): Promise<number> {
  const link = page.getByRole('link', { name: new RegExp(`^${name}`) });
  const [text = '0'] = await link.locator('.badge').allTextContents();
  return Number.parseInt(text, 10);
}

describe('a room with unread messages', () => {
  test('opens at the first of them, counts those below, and counts down as they are seen', async () => {
    const name = newRoom();
    const { ada, bob } = await openBeside(name);
    await sendLines(bob, 'new', 79);
    await chat.bot('carol', name).send({ text: 'new 79' });
    await expect.poll(() => badge(ada, name)).toBe(80);
    await openRoom(ada, name);
    await ada.locator('.unread-line').waitFor();
    await expect.poll(() => isVisible(ada, 'new 0')).toBe(true);
    expect(await isVisible(ada, 'old 29')).toBe(true);
    expect(await isVisible(ada, 'new 79')).toBe(false);
    const below = await newBelow(ada);
    expect(below).toBeGreaterThan(50);
    expect(below).toBeLessThan(80);
    expect(await isVisible(ada, `new ${79 - below}`)).toBe(true);
    expect(await isVisible(ada, `new ${80 - below}`)).toBe(false);
    expect(await badge(ada, name)).toBe(below);
    expect(await ada.title()).toBe(`(${below}) ${name} · Pumphouse`);

    await scrollTo(ada, 'new 40');
    await expect.poll(() => newBelow(ada)).toBeLessThan(40);
    const rest = await newBelow(ada);
    expect(await badge(ada, name)).toBe(rest);
    await scrollTo(ada, 'new 5');
    expect(await newBelow(ada)).toBe(rest);

    await ada.reload();
    await waitForMessage(ada, 'new 79');
    await expect.poll(() => isVisible(ada, `new ${80 - rest}`)).toBe(true);
    expect(await isVisible(ada, 'new 79')).toBe(false);
    const rows = await ada.locator('.rows > li').allTextContents();
    expect(rows[rows.indexOf('New') + 1]).toContain(`new ${80 - rest}`);

    await ada.locator('.jump').click();
    await expect.poll(() => distanceFromEnd(ada)).toBeLessThan(4);
    expect(await badge(ada, name)).toBe(0);
    expect(await newBelow(ada)).toBe(0);
  });

  test('opens at the first of more than the page keeps, and loads those around it', async () => {
    const name = newRoom();
    const { ada, bob } = await openBeside(name);
    await sendLines(bob, 'new', 500);
    await expect.poll(() => badge(ada, name)).toBe(500);
    await openRoom(ada, name);
    await expect.poll(() => isVisible(ada, 'new 0')).toBe(true);
    expect(await isVisible(ada, 'old 29')).toBe(true);
    expect(await newBelow(ada)).toBeGreaterThan(450);
    await scrollTo(ada, 'old 29');
    await ada.locator('.text').getByText('old 0', { exact: true }).waitFor({ state: 'attached' });
    const seen = new Set<string>();
    await expect
      .poll(
        async () => {
          const texts = await messageTexts(ada);
          for (const text of texts) seen.add(text);
          await scrollTo(ada, texts.at(-1) as string);
          return seen.has('new 499') && (await newBelow(ada)) === 0;
        },
        { timeout: 20_000, interval: 10 },
      )
      .toBe(true);
    expect(seen.size).toBe(530);
    expect(await badge(ada, name)).toBe(0);
  });

  test('opens at the first of them in a new tab, after 300 messages', async () => {
    const name = newRoom();
    const { ada, bob } = await openBeside(name);
    await ada.goto('about:blank');
    await sendLines(bob, 'new', 300);
    await ada.goto(`${chat.server().url}/#/${encodeURIComponent(name)}`);
    await expect.poll(() => isVisible(ada, 'new 0')).toBe(true);
    expect(await newBelow(ada)).toBeGreaterThan(250);
  });

  test('shows where they begin when the reader returns to the tab', async () => {
    const name = newRoom();
    const ada = await chat.newPage();
    await ada.addInitScript(`
      window.away = false;
      localStorage['pumphouse.chat'] ??= JSON.stringify({ name: 'ada' });
      Object.defineProperty(Document.prototype, 'hidden', { get: () => away });
      window.goAway = (now) => { away = now; document.dispatchEvent(new Event('visibilitychange')) };
    `);
    await ada.goto(`${chat.server().url}/#/${encodeURIComponent(name)}`);
    await waitForStatus(ada, 'Live');
    const bob = chat.bot('bob', name);
    await sendLines(bob, 'old', 30);
    await waitForMessage(ada, 'old 29');
    await ada.evaluate('goAway(true)');
    await sendLines(bob, 'new', 80);
    await expect.poll(() => ada.title()).toBe(`(80) ${name} · Pumphouse`);
    await ada.evaluate('goAway(false)');
    await expect.poll(() => isVisible(ada, 'new 0')).toBe(true);
    const below = await newBelow(ada);
    expect(below).toBeGreaterThan(50);
    expect(await ada.title()).toBe(`(${below}) ${name} · Pumphouse`);
  });
});

describe('the scroll position of a room', () => {
  test('is kept when the reader switches rooms, while messages arrive', async () => {
    const name = newRoom();
    const { ada, bob, other } = await openBeside(name);
    await openRoom(ada, name);
    await sendLines(chat.bot('bob', other), 'other', 60);
    await sendLines(bob, 'line', 100);
    await waitForMessage(ada, 'line 99');
    await scrollTo(ada, 'line 40');
    const before = await topOf(ada, 'line 40');
    await openRoom(ada, other);
    await sendLines(bob, 'later', 20);
    await waitForMessage(ada, 'other 59');
    await openRoom(ada, name);
    await waitForPaint(ada);
    expect(Math.abs((await topOf(ada, 'line 40')) - before)).toBeLessThan(1.5);
    expect(await newBelow(ada)).toBe(20);
    await openRoom(ada, other);
    await ada.locator('.jump').click();
    await openRoom(ada, name);
    await waitForPaint(ada);
    expect(Math.abs((await topOf(ada, 'line 40')) - before)).toBeLessThan(1.5);
    await openRoom(ada, other);
    await waitForPaint(ada);
    expect(await distanceFromEnd(ada)).toBeLessThan(4);
  });
});

/**
 * Opens the chat on a connection that skips messages: those whose text starts with `skipped` are
 * replaced by a gap.
 */
async function openSkipping(name: string): Promise<Page> {
  const page = await chat.newPage();
  await page.addInitScript(`localStorage['pumphouse.chat'] ??= JSON.stringify({ name: 'ada' })`);
  await page.routeWebSocket(/\/ws/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((frame) => {
      const lines = String(frame)
        .split('\n')
        .map((line) => {
          const { t, room, seq, data } = JSON.parse(line);
          if (t !== 'message' || !data.text.startsWith('skipped')) return line;
          return JSON.stringify({ t: 'gap', room, from: seq, to: seq, why: 'slow' });
        });
      socket.send(merge(lines).join('\n'));
    });
  });
  await page.goto(`${chat.server().url}/#/${encodeURIComponent(name)}`);
  await waitForStatus(page, 'Live');
  await page.getByText('No messages yet').waitFor();
  return page;
}

/** Merges consecutive gaps, as the server does. */
function merge(lines: readonly string[]): string[] {
  const merged: string[] = [];
  for (const line of lines) {
    const [previous, next] = [JSON.parse(merged.at(-1) ?? '{}'), JSON.parse(line)];
    if (previous.t !== 'gap' || next.t !== 'gap') merged.push(line);
    else merged.splice(-1, 1, JSON.stringify({ ...previous, to: next.to }));
  }
  return merged;
}

describe('messages that the connection skipped', () => {
  test('are loaded without asking', async () => {
    const name = newRoom();
    const ada = await openSkipping(name);
    const bob = chat.bot('bob', name);
    await sendLines(bob, 'before', 3);
    await sendLines(bob, 'skipped', 12);
    await sendLines(bob, 'after', 3);
    await waitForMessage(ada, 'skipped 11');
    const texts = (word: string, count: number) => Array.from({ length: count }, (_, line) => `${word} ${line}`);
    await expect
      .poll(() => messageTexts(ada))
      .toEqual([...texts('before', 3), ...texts('skipped', 12), ...texts('after', 3)]);
    expect(await ada.getByText(/missing|Loading/).count()).toBe(0);
    expect(await distanceFromEnd(ada)).toBeLessThan(4);
  });

  test('are loaded as the reader scrolls to them, without moving the view', async () => {
    const name = newRoom();
    const ada = await openSkipping(name);
    const bob = chat.bot('bob', name);
    await sendLines(bob, 'before', 20);
    await sendLines(bob, 'skipped', 600);
    await sendLines(bob, 'after', 40);
    await waitForMessage(ada, 'after 39');
    expect(await distanceFromEnd(ada)).toBeLessThan(4);
    await scrollTo(ada, 'after 0');
    const before = await topOf(ada, 'after 0');
    await ada.locator('.text').getByText('skipped 599', { exact: true }).waitFor({ state: 'attached' });
    await waitForPaint(ada);
    expect(Math.abs((await topOf(ada, 'after 0')) - before)).toBeLessThan(1.5);
    const seen = new Set<string>();
    await expect
      .poll(
        async () => {
          for (const text of await messageTexts(ada)) seen.add(text);
          await ada.locator('.rows > li').evaluateAll((rows) => {
            const gap = rows.findLast((row) => row.textContent?.startsWith('Loading')) ?? rows[0];
            gap?.scrollIntoView({ block: 'center' });
          });
          await waitForPaint(ada);
          return seen.size;
        },
        { timeout: 15_000, interval: 10 },
      )
      .toBe(660);
    expect(await ada.getByText(/missing|no longer/).count()).toBe(0);
  });
});

test('returns to a room that was left by mistake, with its messages and its draft', async () => {
  const name = newRoom();
  const { ada, bob, other } = await openBeside(name);
  await openRoom(ada, name);
  await ada.locator('#input').fill('half a thought');
  await leaveRoom(ada);
  await ada.getByRole('heading', { name: other }).waitFor();
  await bob.send({ text: 'while away' });
  await ada.getByText(`You left ${name}`).waitFor();
  await ada.getByRole('button', { name: 'Undo' }).click();
  await ada.getByRole('heading', { name }).waitFor();
  await waitForMessage(ada, 'old 29');
  await waitForMessage(ada, 'while away');
  expect(await ada.locator('#input').inputValue()).toBe('half a thought');
  expect(await ada.getByText('You left').count()).toBe(0);
});
