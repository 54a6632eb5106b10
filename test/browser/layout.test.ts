import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { leaveRoom, send, useChat, waitForMessage, waitForStatus } from './page.ts';

const chat = useChat({ publishRate: 'off' });

const desktop = { viewport: { width: 900, height: 640 } };
const phone = { viewport: { width: 390, height: 760 }, hasTouch: true, isMobile: true };

/** The smallest size of a control on a touch screen, in CSS pixels. */
const TOUCH_SIZE = 44;

/** Opens the chat of a user who has joined many rooms. */
async function openWithRooms(count: number, options: object): Promise<Page> {
  const rooms = Array.from({ length: count }, (_, index) => `room ${index + 1}`);
  const page = await chat.newPage(options);
  await page.addInitScript(
    `localStorage['pumphouse.chat'] ??= ${JSON.stringify(JSON.stringify({ name: 'ada', rooms }))}`,
  );
  await page.goto(`${chat.server().url}/#/${encodeURIComponent('room 12')}`);
  await waitForStatus(page, 'Live');
  return page;
}

/** Waits until a control is on the screen as a whole, and nothing covers it. */
async function waitUntilReachable(page: Page, label: string): Promise<void> {
  await expect
    .poll(() =>
      page.getByLabel(label).evaluate((control) => {
        const { left, top, right, bottom } = control.getBoundingClientRect();
        const inside = left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;
        return inside && document.elementFromPoint((left + right) / 2, (top + bottom) / 2) === control;
      }),
    )
    .toBe(true);
}

describe.each([
  [15, 'a desktop', desktop],
  [50, 'a desktop', desktop],
  [15, 'a phone', phone],
  [50, 'a phone', phone],
] as const)('with %i rooms on %s', (count, _, options) => {
  test('the form to join another is on the screen, and the current room too', async () => {
    const page = await openWithRooms(count, options);
    if (options === phone) await page.getByRole('button', { name: /^Rooms/ }).click();
    await page.getByRole('link', { name: `room ${count}`, exact: true }).waitFor({ state: 'attached' });
    await waitUntilReachable(page, 'Join a room');
    const current = page.locator('nav [aria-current]');
    await expect.poll(() => current.evaluate((link) => link.getBoundingClientRect().bottom < innerHeight)).toBe(true);
    await page.getByLabel('Join a room').fill('one more');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'one more' }).waitFor();
  });
});

/** Returns the controls on the screen that are smaller than a finger needs. */
function smallControls(page: Page): Promise<string[]> {
  return page.locator('button, input, textarea, nav a, label.switch').evaluateAll((controls, size) => {
    const hasLargeLabel = (control: Element) =>
      [...((control as HTMLInputElement).labels ?? [])].some((label) => label.getBoundingClientRect().height >= size);
    return controls.flatMap((control) => {
      const { width, height } = control.getBoundingClientRect();
      if (width === 0 || (width >= size && height >= size) || hasLargeLabel(control)) return [];
      return `${width} × ${height}: ${control.outerHTML}`;
    });
  }, TOUCH_SIZE);
}

test('has no control under 44 pixels on a touch screen', async () => {
  const page = await chat.newPage({ ...phone, permissions: ['notifications'] });
  let disconnect = () => {};
  let available = true;
  await page.routeWebSocket(/\/ws/, (socket) => {
    if (!available) {
      socket.close({ code: 1013 });
      return;
    }
    socket.connectToServer();
    disconnect = () => socket.close({ code: 1001 });
  });
  await page.goto(`${chat.server().url}/#/touch`);
  await page.getByLabel('Display name').waitFor();
  expect(await smallControls(page)).toEqual([]);
  await page.getByLabel('Display name').fill('ada');
  await page.keyboard.press('Enter');
  await waitForStatus(page, 'Live');
  await page.locator('#input').fill('line\n'.repeat(40));
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByRole('button', { name: 'Show more' }).waitFor();
  await page.getByRole('button', { name: 'Room menu' }).click();
  expect(await smallControls(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: /online$/ }).click();
  expect(await smallControls(page)).toEqual([]);
  await page.getByRole('button', { name: 'Close' }).click();
  await page.getByRole('button', { name: /^Rooms/ }).click();
  await page.getByRole('button', { name: 'Rename' }).click();
  expect(await smallControls(page)).toEqual([]);
  await page.keyboard.press('Escape');
  available = false;
  disconnect();
  await page.getByRole('button', { name: 'Try now' }).waitFor();
  expect(await smallControls(page)).toEqual([]);
  await leaveRoom(page);
  await page.getByRole('button', { name: 'Undo' }).waitFor();
  expect(await smallControls(page)).toEqual([]);
});

test('shows the state of the connection only while it is not live, without moving the log', async () => {
  const page = await chat.newPage();
  let disconnect = () => {};
  let available = true;
  await page.routeWebSocket(/\/ws/, (socket) => {
    if (!available) {
      socket.close({ code: 1013 });
      return;
    }
    socket.connectToServer();
    disconnect = () => socket.close({ code: 1001 });
  });
  await page.addInitScript(`localStorage['pumphouse.chat'] ??= JSON.stringify({ name: 'ada' })`);
  await page.goto(`${chat.server().url}/#/state`);
  await waitForStatus(page, 'Live');
  await expect.poll(() => page.locator('.connection').count()).toBe(0);
  const top = () => page.locator('.log').evaluate((log) => log.getBoundingClientRect().top);
  const headerEnd = await page.locator('.room-header').evaluate((header) => header.getBoundingClientRect().bottom);
  expect(await top()).toBe(headerEnd);
  available = false;
  disconnect();
  await waitForStatus(page, /^Reconnecting in/);
  expect(await top()).toBe(headerEnd);
  available = true;
  await page.getByRole('button', { name: 'Try now' }).click();
  await expect.poll(() => page.locator('.connection').count()).toBe(0);
});

test('has one menu beside the people, which the keyboard opens and Escape closes', async () => {
  const page = await chat.openAs('ada', { room: 'menu' });
  await page.evaluate('navigator.clipboard.writeText = async (text) => { window.copied = text }');
  const header = page.locator('.room-header');
  expect(await header.getByRole('button').count()).toBe(2);
  const menu = page.getByRole('button', { name: 'Room menu' });
  await menu.focus();
  await page.keyboard.press('Enter');
  const copy = page.getByRole('button', { name: 'Copy link' });
  await expect.poll(() => copy.evaluate((button) => button === document.activeElement)).toBe(true);
  await page.keyboard.press('Escape');
  await expect.poll(() => copy.count()).toBe(0);
  expect(await menu.evaluate((button) => button === document.activeElement)).toBe(true);
  await menu.click();
  await copy.click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  expect(await page.evaluate('copied')).toBe(page.url());
  await page.locator('.log').click();
  await expect.poll(() => page.getByRole('button', { name: 'Leave room' }).count()).toBe(0);
});

test('lays out own messages and those of others alike', async () => {
  const room = 'alike';
  const [ada, bob] = [await chat.openAs('ada', { room }), await chat.openAs('bob', { room })];
  await send(ada, 'mine');
  await waitForMessage(bob, 'mine');
  await send(bob, 'yours');
  await waitForMessage(ada, 'yours');
  const styles = await ada.locator('.rows:not(.unsent) .text').evaluateAll((texts) =>
    texts.map((text) => {
      const { backgroundColor, borderTopWidth } = getComputedStyle(text.parentElement as Element);
      return [text.getBoundingClientRect().left, backgroundColor, borderTopWidth, getComputedStyle(text).color];
    }),
  );
  expect(styles).toHaveLength(2);
  expect(styles[0]).toEqual(styles[1]);
});

describe('a link to a room', () => {
  test.each([
    ['x'.repeat(129), 'Its room name is longer than 128 bytes.'],
    ['é'.repeat(65), 'Its room name is longer than 128 bytes.'],
    ['%20', 'Its room name is blank.'],
    ['%E0%A4%A', 'Its room name is not encoded correctly.'],
  ])('that is invalid says so and offers the lobby: %s', async (hash, reason) => {
    const page = await chat.newPage();
    await page.addInitScript(`localStorage['pumphouse.chat'] ??= JSON.stringify({ name: 'ada' })`);
    await page.goto(`${chat.server().url}/#/${hash}`);
    await page.getByRole('heading', { name: 'This link does not lead to a room' }).waitFor();
    await page.getByText(reason).waitFor();
    expect(page.url()).toBe(new URL(`${chat.server().url}/#/${hash}`).href);
    expect(await page.locator('.log').count()).toBe(0);
    await page.getByRole('button', { name: 'Go to lobby' }).click();
    await page.getByRole('heading', { name: 'lobby' }).waitFor();
    await page.goBack();
    await page.getByText(reason).waitFor();
  });

  test('may have 128 bytes', async () => {
    const room = 'x'.repeat(128);
    await chat.openAs('ada', { room });
  });
});
