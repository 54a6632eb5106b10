import type { BrowserContextOptions } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { violations } from './axe.ts';
import { leaveRoom, send, sendLines, useChat, waitForMessage, waitForStatus } from './page.ts';

const chat = useChat(['--publish-rate', 'off']);
test('respects prefers-reduced-motion', async () => {
  const page = await chat.newPage({ reducedMotion: 'reduce' });
  await page.routeWebSocket(/\/ws/, () => {}); // never completes the handshake
  await page.goto(chat.server().url);
  await page.getByLabel('Display name').fill('ada');
  await page.keyboard.press('Enter');
  await waitForStatus(page, 'Connecting…');
  expect(await page.evaluate('document.getAnimations().length')).toBe(0);
  await page.emulateMedia({ reducedMotion: 'no-preference' });
  expect(await page.evaluate('document.getAnimations().length')).toBe(1);
});

test('leaves the last room on a phone, and joins another', async () => {
  const page = await chat.openAs('eve', { room: 'last', ...phone });
  await leaveRoom(page);
  await page.getByText('You have not joined any rooms').waitFor();
  await page.getByRole('button', { name: 'Rooms' }).click();
  await page.getByLabel('Join a room').fill('another');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'another' }).waitFor();
});

test('keeps the composer and the last message visible when a phone’s keyboard opens', async () => {
  const page = await chat.openAs('eve', { room: 'keyboard', ...phone });
  await sendLines(chat.bot('bob', 'keyboard'), 'line', 40);
  await waitForMessage(page, 'line 39');
  await page.setViewportSize({ width: 390, height: 330 });
  await expect
    .poll(() => page.locator('#input').evaluate((input) => innerHeight - input.getBoundingClientRect().bottom))
    .toBeGreaterThan(0);
  await expect
    .poll(() =>
      page
        .locator('.text')
        .last()
        .evaluate((text) => text.getBoundingClientRect().bottom < innerHeight - 80),
    )
    .toBe(true);
});

const desktop = { viewport: { width: 1100, height: 720 } };
const phone = { viewport: { width: 390, height: 760 }, hasTouch: true, isMobile: true };

describe.each([
  ['light, on a desktop', { ...desktop, colorScheme: 'light' }],
  ['dark, on a desktop', { ...desktop, colorScheme: 'dark' }],
  ['light, on a phone', { ...phone, colorScheme: 'light' }],
  ['dark, on a phone', { ...phone, colorScheme: 'dark' }],
] satisfies [string, BrowserContextOptions][])('accessibility: %s', (name, options) => {
  test('has no violations on the welcome page, in an empty room, in a conversation and with each pane open', async () => {
    const page = await chat.newPage(options);
    await page.goto(`${chat.server().url}/#/${encodeURIComponent(name)}`);
    await page.getByLabel('Display name').waitFor();
    expect(await violations(page)).toEqual([]);
    await page.getByLabel('Display name').fill('ada');
    await page.keyboard.press('Enter');
    await waitForStatus(page, 'Live');
    expect(await violations(page)).toEqual([]);

    const bob = chat.bot('bob', name);
    await sendLines(bob, 'line', 20);
    await bob.send({ text: 'see https://example.com and שלום' });
    await bob.send({
      text: '**bold**, `code`, [a link](https://example.com/a) for @ada and @bob\n> quoted\n- one\n1) two',
    });
    await bob.send({ text: '```js\nconst pump = open();\n```' });
    await page.locator('.code-block').waitFor();
    await page.locator('#input').fill('mine');
    await page.getByRole('button', { name: 'Send' }).click();
    await waitForMessage(page, 'mine');
    await page.getByRole('button', { name: /online$/ }).click();
    await page.locator('#people').waitFor();
    expect(await violations(page)).toEqual([]);
    await page.getByRole('button', { name: 'Close' }).click();
    const roomsButton = page.getByRole('button', { name: /^Rooms/ });
    if (await roomsButton.isVisible()) {
      await roomsButton.click();
      expect(await violations(page)).toEqual([]);
      await page.keyboard.press('Escape');
      await expect.poll(() => roomsButton.evaluate((button) => button === document.activeElement)).toBe(true);
    }
    await page.locator('.log').evaluate((log) => log.scrollTo(0, 0));
    await bob.send({ text: 'one more' });
    await page.getByRole('button', { name: '1 new message' }).waitFor();
    expect(await violations(page)).toEqual([]);
  });

  test('has no violations at unread messages, beside a namesake, in the menu, after leaving, and at a bad link', async () => {
    const room = `busy ${name}`;
    const bob = chat.bot('bob', room);
    const page = await chat.openAs('ada', { ...options, room });
    const namesake = await chat.openAs('ada', { room });
    await send(namesake, 'from the other ada');
    await waitForMessage(page, 'from the other ada');
    await page.goto(`${chat.server().url}/#/beside`);
    await page.getByRole('heading', { name: 'beside' }).waitFor();
    await sendLines(bob, 'new', 80);
    // Messages that arrived in the open room would be seen.
    await page.locator('.badge', { hasText: /^80/ }).first().waitFor({ state: 'attached' });
    await page.goto(`${chat.server().url}/#/${encodeURIComponent(room)}`);
    await page.locator('.unread-line').waitFor();
    await page.getByRole('button', { name: /new messages$/ }).waitFor();
    expect(await violations(page)).toEqual([]);
    await page.getByRole('button', { name: /new messages$/ }).click();
    await page.locator('#input').fill('mine');
    await page.getByRole('button', { name: 'Send' }).click();
    await waitForMessage(page, 'mine');
    await page
      .getByRole('button', { name: '3 online' })
      .or(page.getByRole('button', { name: '3 people' }))
      .click();
    await page.locator('#people').getByText('(2)').waitFor();
    expect(await violations(page)).toEqual([]);
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('button', { name: 'Room menu' }).click();
    expect(await violations(page)).toEqual([]);
    await page.getByRole('button', { name: 'Leave room' }).click();
    await page.getByRole('button', { name: 'Undo' }).waitFor();
    expect(await violations(page)).toEqual([]);
    await page.goto(`${chat.server().url}/#/${'x'.repeat(200)}`);
    await page.getByRole('button', { name: 'Go to lobby' }).waitFor();
    expect(await violations(page)).toEqual([]);
  });

  test('has no violations while reconnecting, offline, waiting and refused, and in a dialog', async () => {
    const page = await chat.newPage(options);
    let closeCode = 0;
    let disconnect = () => {};
    await page.routeWebSocket(/\/ws/, (socket) => {
      if (closeCode === 4005) {
        socket.send('{"t":"error","code":"too_many_connections","message":"","retry":true,"retryAfter":3000}');
      }
      if (closeCode > 0) socket.close({ code: closeCode, reason: 'not now' });
      else {
        socket.connectToServer();
        disconnect = () => socket.close({ code: 1001 });
      }
    });
    await page.goto(`${chat.server().url}/#/${encodeURIComponent(name)}`);
    await page.getByLabel('Display name').fill('ada');
    await page.keyboard.press('Enter');
    await waitForStatus(page, 'Live');
    closeCode = 1013;
    disconnect();
    await waitForStatus(page, /Reconnecting in/);
    await page.locator('#input').fill('waits');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.locator('.unsent').getByText('Waiting to send').waitFor();
    expect(await violations(page)).toEqual([]);
    await leaveRoom(page);
    await page.getByRole('dialog', { name: 'Leave' }).waitFor();
    expect(await violations(page)).toEqual([]);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.context().setOffline(true);
    await waitForStatus(page, /^Offline/);
    expect(await violations(page)).toEqual([]);
    closeCode = 4005;
    await page.context().setOffline(false);
    await waitForStatus(page, /^Not now\. Trying again in/);
    expect(await violations(page)).toEqual([]);
    closeCode = 4500;
    await waitForStatus(page, /^Disconnected/);
    expect(await violations(page)).toEqual([]);
  });
});
