import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { chatter, shows, stands, useChat } from './page.ts';

const chat = useChat(['--publish-rate', 'off']);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Finding {
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

/** What axe-core finds wrong with a page as it is. */
async function findings(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const found = await page.evaluate<Finding[]>('axe.run().then(({ violations }) => violations)');
  return found.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
}

test('who wants no motion sees none', async () => {
  const page = await chat.tab({ reducedMotion: 'reduce' });
  await page.routeWebSocket(/\/ws/, () => {}); // it connects for ever
  await page.goto(chat.server().url);
  await page.getByLabel('What should others call you?').fill('ada');
  await page.keyboard.press('Enter');
  await stands(page, 'Connecting…');
  expect(await page.evaluate('document.getAnimations().length')).toBe(0);
  await page.emulateMedia({ reducedMotion: 'no-preference' });
  expect(await page.evaluate('document.getAnimations().length')).toBe(1);
});

test('on a phone one can leave the last room, and join another', async () => {
  const page = await chat.person('eve', { room: 'last', ...phone });
  await page.getByRole('button', { name: /here$/ }).click();
  await page.getByRole('button', { name: 'Leave' }).click();
  await page.getByRole('button', { name: 'Close' }).waitFor({ state: 'detached' });
  await page.getByText('You are in no room').waitFor();
  await page.getByRole('button', { name: 'Rooms' }).click();
  await page.getByLabel('Join a room').fill('another');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'another' }).waitFor();
});

test('on a phone whose keyboard is open one still sees what one types, and what was said last', async () => {
  const page = await chat.person('eve', { room: 'keyboard', ...phone });
  await chatter(chat.program('bob', 'keyboard'), 'line', 40);
  await shows(page, 'line 39');
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
] satisfies [string, BrowserContextOptions][])('axe-core finds nothing: %s', (name, options) => {
  test('on the first visit, in an empty room, in a conversation and with each pane open', async () => {
    const page = await chat.tab(options);
    await page.goto(`${chat.server().url}/#/${encodeURIComponent(name)}`);
    await page.getByLabel('What should others call you?').waitFor();
    expect(await findings(page)).toEqual([]);
    await page.getByLabel('What should others call you?').fill('ada');
    await page.keyboard.press('Enter');
    await stands(page, 'Live');
    expect(await findings(page)).toEqual([]);

    const bob = chat.program('bob', name);
    await chatter(bob, 'line', 20);
    await bob.send({ text: 'see https://example.com and שלום' });
    await page.locator('#input').fill('mine');
    await page.getByRole('button', { name: 'Send' }).click();
    await shows(page, 'mine');
    await page.getByRole('button', { name: /here$/ }).click();
    await page.locator('#people').waitFor();
    expect(await findings(page)).toEqual([]);
    await page.getByRole('button', { name: 'Close' }).click();
    const rooms = page.getByRole('button', { name: /^Rooms/ });
    if (await rooms.isVisible()) {
      await rooms.click();
      expect(await findings(page)).toEqual([]);
      await page.keyboard.press('Escape');
      await expect.poll(() => rooms.evaluate((button) => button === document.activeElement)).toBe(true);
    }
    await page.locator('.log').evaluate((log) => log.scrollTo(0, 0));
    await bob.send({ text: 'one more' });
    await page.getByRole('button', { name: '1 new message' }).waitFor();
    expect(await findings(page)).toEqual([]);
  });

  test('while the connection is lost, offline and refused, and in what is asked', async () => {
    const page = await chat.tab(options);
    let close = 0;
    let cut = () => {};
    await page.routeWebSocket(/\/ws/, (socket) => {
      if (close > 0) socket.close({ code: close, reason: 'not now' });
      else {
        socket.connectToServer();
        cut = () => socket.close({ code: 1001 });
      }
    });
    await page.goto(`${chat.server().url}/#/${encodeURIComponent(name)}`);
    await page.getByLabel('What should others call you?').fill('ada');
    await page.keyboard.press('Enter');
    await stands(page, 'Live');
    close = 1013;
    cut();
    await stands(page, /Reconnecting in/);
    await page.locator('#input').fill('waits');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.locator('.unsent').getByText('Waiting').waitFor();
    expect(await findings(page)).toEqual([]);
    const people = page.getByRole('button', { name: /here$/ });
    if (!(await page.getByRole('button', { name: 'Leave' }).isVisible())) await people.click();
    await page.getByRole('button', { name: 'Leave' }).click();
    await page.getByRole('dialog', { name: 'Leave' }).waitFor();
    expect(await findings(page)).toEqual([]);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.context().setOffline(true);
    await stands(page, /^Offline/);
    expect(await findings(page)).toEqual([]);
    close = 4500;
    await page.context().setOffline(false);
    await stands(page, /^Refused/);
    expect(await findings(page)).toEqual([]);
  });
});
