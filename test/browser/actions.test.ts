import { describe, expect, test } from 'vitest';
import { violations } from './axe.ts';
import {
  distanceFromEnd,
  messageTexts,
  scrollTo,
  sendLines,
  topOf,
  useChat,
  waitForMessage,
  waitForPaint,
  waitForStatus,
} from './page.ts';

const chat = useChat({ publishRate: 'off' });
const clipboard = { permissions: ['clipboard-read', 'clipboard-write'] };
const phone = { viewport: { width: 390, height: 760 }, hasTouch: true, isMobile: true };

describe('the actions of a message', () => {
  test('are beside it on hover, and copy its text and its link', async () => {
    const ada = await chat.openAs('ada', { room: 'hover', ...clipboard });
    const bob = chat.bot('bob', 'hover');
    await bob.send({ text: 'one **two**' });
    await bob.send({ text: 'three' });
    await waitForMessage(ada, 'three');
    await ada.locator('.message').first().hover();
    const toolbar = ada.getByRole('group', { name: 'Actions for the message of bob' });
    await toolbar.getByRole('button', { name: 'Copy text' }).click();
    await ada.getByText('Text copied').waitFor();
    expect(await ada.evaluate('navigator.clipboard.readText()')).toBe('one **two**');
    await toolbar.getByRole('button', { name: 'Copy link' }).click();
    await ada.getByText('Link copied').waitFor();
    expect(await ada.evaluate('navigator.clipboard.readText()')).toBe(`${chat.server().url}/#/hover?message=1`);
    expect(await violations(ada)).toEqual([]);
    await ada.locator('.message').last().hover();
    await expect.poll(() => toolbar.evaluate((bar) => bar.closest('li')?.textContent)).toContain('three');
    expect(await toolbar.count()).toBe(1);
    await ada.locator('#input').hover();
    await expect.poll(() => toolbar.count()).toBe(0);
  });

  test('are reached by the keyboard alone', async () => {
    const ada = await chat.openAs('ada', { room: 'keys', ...clipboard });
    await sendLines(chat.bot('bob', 'keys'), 'line', 3);
    await waitForMessage(ada, 'line 2');
    await ada.locator('.log').focus();
    await ada.keyboard.press('Enter');
    await ada.keyboard.press('ArrowUp');
    const focused = () => ada.evaluate('document.activeElement.querySelector(".text")?.textContent');
    expect(await focused()).toBe('line 1');
    await ada.keyboard.press('c');
    await ada.getByText('Text copied').waitFor();
    expect(await ada.evaluate('navigator.clipboard.readText()')).toBe('line 1');
    await ada.getByRole('group', { name: /^Actions/ }).waitFor();
    await ada.keyboard.press('Tab');
    expect(await ada.evaluate('document.activeElement.ariaLabel')).toBe('Copy text');
    await ada.keyboard.press('Escape');
    await ada.keyboard.press('Enter');
    const dialog = ada.getByRole('dialog', { name: 'Actions for the message of bob' });
    await dialog.waitFor();
    expect(await violations(ada)).toEqual([]);
    await ada.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    expect(await focused()).toBe('line 1');
    await ada.keyboard.press('ContextMenu');
    await dialog.getByRole('button', { name: 'Copy link' }).click();
    await dialog.waitFor({ state: 'detached' });
    expect(await ada.evaluate('navigator.clipboard.readText()')).toMatch(/\?message=2$/);
    await ada.keyboard.press('Escape');
    expect(await ada.evaluate('document.activeElement.className')).toBe('log');
  });

  test('leave the focus where a key moved it before the dialog had closed', async () => {
    const ada = await chat.openAs('ada', { room: 'moved' });
    await sendLines(chat.bot('bob', 'moved'), 'line', 1);
    await waitForMessage(ada, 'line 0');
    await ada.locator('.log').focus();
    await ada.keyboard.press('Enter');
    await ada.keyboard.press('Enter');
    await ada.getByRole('dialog').waitFor();
    // The browser dispatches `close` in a later task.
    const focused = await ada.evaluate(async () => {
      const dialog = document.querySelector('dialog') as HTMLDialogElement;
      const closed = new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
      dialog.close();
      const back = document.activeElement?.className;
      document.querySelector<HTMLElement>('.log')?.focus();
      await closed;
      return [back, document.activeElement?.className];
    });
    expect(focused).toEqual(['message first', 'log']);
  });

  test('move the focus to the composer before another key arrives', async () => {
    const ada = await chat.openAs('ada', { room: 'reply at once' });
    await sendLines(chat.bot('bob', 'reply at once'), 'line', 1);
    await waitForMessage(ada, 'line 0');
    await ada.locator('.log').focus();
    await ada.keyboard.press('Enter');
    // An observer is called in a microtask after the composer has changed.
    const focused = ada.evaluate(
      () =>
        new Promise((resolve) => {
          const composer = document.querySelector('.composer') as HTMLElement;
          const observer = new MutationObserver(() => resolve(document.activeElement?.id));
          observer.observe(composer, { attributes: true, attributeFilter: ['data-mode'] });
        }),
    );
    await ada.keyboard.press('r');
    expect(await focused).toBe('input');
  });

  test('are loaded at the next try, with their styles, where the network had failed', async () => {
    const ada = await chat.openAs('ada', { room: 'network' });
    await chat.bot('bob', 'network').send({ text: 'not at once' });
    await waitForMessage(ada, 'not at once');
    let failing = '.css';
    await ada.route(/message-actions/, (route) =>
      failing !== '' && route.request().url().endsWith(failing) ? route.abort() : route.continue(),
    );
    const failed = () => ada.waitForEvent('requestfailed', (request) => request.url().endsWith(failing));
    await ada.getByRole('log').focus();
    await Promise.all([failed(), ada.keyboard.press('Enter')]);
    await failed(); // again
    failing = '.js';
    await Promise.all([failed(), ada.keyboard.press('Enter')]);
    await ada.getByText('The actions could not be loaded. Check your connection and try again.').waitFor();
    failing = '';
    await ada.keyboard.press('Enter');
    await ada.getByRole('dialog', { name: 'Actions for the message of bob' }).waitFor();
    await ada.keyboard.press('Escape');
    await ada.locator('.message').hover();
    const toolbar = ada.getByRole('group', { name: 'Actions for the message of bob' });
    await expect.poll(() => toolbar.evaluate((bar) => getComputedStyle(bar).display)).toBe('flex');
  });

  test('open on a long press on a phone, with controls that a finger can hit', async () => {
    const ada = await chat.openAs('ada', { room: 'press', ...phone });
    await chat.bot('bob', 'press').send({ text: 'press here' });
    await waitForMessage(ada, 'press here');
    const row = ada.locator('.message');
    const box = await row.boundingBox();
    const at = { clientX: (box?.x ?? 0) + 80, clientY: (box?.y ?? 0) + 30, pointerType: 'touch', bubbles: true };
    await row.locator('.text').dispatchEvent('pointerdown', at);
    await row.locator('.text').dispatchEvent('pointermove', { ...at, clientY: at.clientY + 3 });
    const dialog = ada.getByRole('dialog', { name: 'Actions for the message of bob' });
    await dialog.waitFor();
    expect(await violations(ada)).toEqual([]);
    for (const button of await dialog.getByRole('button').all()) {
      expect((await button.boundingBox())?.height).toBeGreaterThanOrEqual(44);
    }
    await ada.mouse.click(20, 20);
    await dialog.waitFor({ state: 'detached' });
    // A finger that scrolls presses nothing.
    await row.locator('.text').dispatchEvent('pointerdown', at);
    await row.locator('.text').dispatchEvent('pointermove', { ...at, clientY: at.clientY + 40 });
    await ada.waitForTimeout(700);
    expect(await dialog.count()).toBe(0);
  });
});

test('the finger that opens the actions does none of them when it leaves', async () => {
  const ada = await chat.openAs('ada', { room: 'finger', ...phone });
  const bob = chat.bot('bob', 'finger');
  await sendLines(bob, 'line', 30);
  await waitForMessage(ada, 'line 29');
  const touch = await ada.context().newCDPSession(ada);
  const dialog = ada.getByRole('dialog', { name: 'Actions for the message of bob' });
  const [x, y] = [100, (ada.viewportSize()?.height ?? 0) - 150];
  await touch.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [{ x, y }] });
  await dialog.waitFor();
  const under = await ada.evaluate(`document.elementFromPoint(${x}, ${y}).closest('dialog button') !== null`);
  expect(under).toBe(true);
  await touch.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
  await ada.waitForTimeout(300);
  expect(await dialog.isVisible()).toBe(true);
  await ada.touchscreen.tap(x, y);
  await dialog.waitFor({ state: 'detached' });
});

describe('a link to a message', () => {
  test('opens it among older and newer ones, highlights and announces it, and leads back to the latest', async () => {
    const bob = chat.bot('bob', 'linked');
    await sendLines(bob, 'line', 600);
    const ada = await chat.newPage({ reducedMotion: 'reduce' });
    await ada.addInitScript(`localStorage['pumphouse.chat'] ??= JSON.stringify({ name: 'ada' })`);
    await ada.goto(`${chat.server().url}/#/linked?message=201`);
    await waitForStatus(ada, 'Live');
    await waitForMessage(ada, 'line 200');
    await ada.locator('.message[data-target]', { hasText: 'line 200' }).waitFor();
    const height = ada.viewportSize()?.height ?? 0;
    const top = await topOf(ada, 'line 200');
    expect(top).toBeGreaterThan(60);
    expect(top).toBeLessThan(height - 120);
    expect((await messageTexts(ada)).includes('line 190')).toBe(true);
    expect((await messageTexts(ada)).includes('line 210')).toBe(true);
    await ada
      .locator('.visually-hidden')
      .getByText('Showing the message of bob: line 200')
      .waitFor({ state: 'attached' });
    expect(await ada.evaluate('document.activeElement.textContent')).toContain('line 200');
    expect(ada.url()).toBe(`${chat.server().url}/#/linked`);
    expect(await violations(ada)).toEqual([]);
    await expect.poll(() => ada.locator('[data-target]').count()).toBe(0);
    await scrollTo(ada, (await messageTexts(ada))[0] as string);
    await ada.locator('.text').getByText('line 120', { exact: true }).waitFor({ state: 'attached' });
    await ada.getByRole('button', { name: /Jump to latest|new message/ }).click();
    await waitForMessage(ada, 'line 599');
    expect(await distanceFromEnd(ada)).toBeLessThan(4);
  });

  test('opens in place if somebody posts it, in the room on the screen and in another', async () => {
    const bob = chat.bot('bob', 'origin');
    await sendLines(bob, 'line', 150);
    const ada = await chat.openAs('ada', { room: 'origin' });
    await waitForMessage(ada, 'line 149');
    await bob.send({ text: `${chat.server().url}/#/origin?message=61` });
    await ada.locator('.text a').click();
    await ada.locator('.message[data-target]', { hasText: 'line 60' }).waitFor();
    const jump = ada.getByRole('button', { name: 'Jump to latest' });
    await jump.click();
    await expect.poll(() => distanceFromEnd(ada)).toBeLessThan(4);
    expect(await jump.count()).toBe(0);
    await chat.bot('bob', 'elsewhere').send({ text: `see ${chat.server().url}/#/origin?message=11` });
    await ada.goto(`${chat.server().url}/#/elsewhere`);
    await ada.locator('.text a').click();
    await ada.getByRole('heading', { name: 'origin' }).waitFor();
    await ada.locator('.message[data-target]', { hasText: 'line 10' }).waitFor();
    await waitForPaint(ada);
    expect(ada.context().pages()).toHaveLength(1);
  });

  test('says that the message is no longer kept', async () => {
    await sendLines(chat.bot('bob', 'short'), 'line', 3);
    const ada = await chat.openAs('ada', { room: 'short' });
    await waitForMessage(ada, 'line 2');
    await ada.goto(`${chat.server().url}/#/short?message=999`);
    await ada.getByText('The message of this link is no longer kept.').waitFor();
    expect(await violations(ada)).toEqual([]);
    expect(await messageTexts(ada)).toHaveLength(3);
  });
});
