import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { violations } from './axe.ts';
import { draft, send, useChat, waitForMessage } from './page.ts';

const chat = useChat({ publishRate: 'off' });
const phone = { viewport: { width: 390, height: 760 }, hasTouch: true, isMobile: true };

const suggestions = (page: Page) => page.getByRole('listbox', { name: 'Suggestions' });

test('completes an emoji by its name: arrows choose, Enter inserts and does not send', async () => {
  const page = await chat.openAs('ada', { room: 'emoji' });
  const requests: string[] = [];
  page.on('request', (request) => requests.push(request.url()));
  const input = page.locator('#input');
  await input.pressSequentially('at 10:30 :wav');
  await suggestions(page).waitFor();
  expect(requests.filter((url) => url.includes('/assets/emoji-')).length).toBe(1);
  const active = () => input.getAttribute('aria-activedescendant');
  expect(await active()).toBe('completion-0');
  expect(await page.locator('#completion-0').textContent()).toBe('👋:wave:');
  expect(await violations(page)).toEqual([]);
  await page.keyboard.press('ArrowDown');
  expect(await active()).toBe('completion-1');
  expect(await page.locator('#completion-1').getAttribute('aria-selected')).toBe('true');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  expect(await draft(page)).toBe('at 10:30 👋 ');
  expect(await suggestions(page).count()).toBe(0);
  expect(await active()).toBeNull();
  await input.pressSequentially(':tada:');
  await expect.poll(() => draft(page)).toBe('at 10:30 👋 🎉');
  await page.keyboard.press('Enter');
  await waitForMessage(page, 'at 10:30 👋 🎉');
});

test('leaves every key alone while nothing is offered, after Escape and during a composition', async () => {
  const page = await chat.openAs('ada', { room: 'keys' });
  const input = page.locator('#input');
  await input.pressSequentially(':nothingiscalledthis');
  await page.keyboard.press('Enter');
  await waitForMessage(page, ':nothingiscalledthis');
  await input.pressSequentially('so :smil');
  await suggestions(page).waitFor();
  await page.keyboard.press('Escape');
  await expect.poll(() => suggestions(page).count()).toBe(0);
  await page.keyboard.press('Enter');
  await waitForMessage(page, 'so :smil');
  await input.pressSequentially(':smile');
  await suggestions(page).waitFor();
  await input.dispatchEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true, isComposing: true });
  expect(await draft(page)).toBe(':smile');
  await page.keyboard.press('Tab');
  expect(await draft(page)).toMatch(/^\p{Emoji}/u);
  await page.keyboard.press('Tab');
  expect(await page.evaluate('document.activeElement.ariaLabel')).toBe('Emoji');
});

test('completes the people of the room, in brackets if a name has spaces', async () => {
  const ada = await chat.openAs('ada', { room: 'people' });
  const bob = await chat.openAs('Bob Martin', { room: 'people' });
  const dora = chat.bot('dora', 'people');
  await dora.send({ text: 'hello' });
  await waitForMessage(ada, 'hello');
  dora.leave();
  await ada.getByRole('button', { name: '2 people online' }).waitFor();
  await ada.locator('#input').pressSequentially('hi @');
  await expect.poll(() => suggestions(ada).getByRole('option').allTextContents()).toEqual(['@dora', '@Bob Martin']);
  await ada.locator('#input').pressSequentially('mart');
  await suggestions(ada).getByRole('option', { name: 'Bob Martin' }).click();
  expect(await draft(ada)).toBe('hi @[Bob Martin] ');
  await ada.locator('#input').pressSequentially('and @do');
  await suggestions(ada).waitFor();
  await ada.keyboard.press('Tab');
  expect(await draft(ada)).toBe('hi @[Bob Martin] and @dora ');
  await ada.keyboard.press('Enter');
  await bob.locator('.text', { hasText: 'and @dora' }).waitFor();
});

test.each([
  ['a desktop', {}],
  ['a phone', phone],
] as const)('picks an emoji from the dialog on %s', async (name, options) => {
  const page = await chat.openAs('ada', { room: `picker on ${name}`, ...options });
  await page.locator('#input').fill('before  after');
  await page.locator('#input').evaluate((area: HTMLTextAreaElement) => area.setSelectionRange(7, 7));
  await page.getByRole('button', { name: 'Emoji' }).click();
  const dialog = page.getByRole('dialog', { name: 'Emoji' });
  await dialog.getByRole('option', { name: 'grinning face', exact: true }).waitFor();
  expect(await violations(page)).toEqual([]);
  if (options === phone) {
    const box = await dialog.getByRole('option').first().boundingBox();
    expect(Math.min(box?.width ?? 0, box?.height ?? 0)).toBeGreaterThanOrEqual(44);
  }
  await page.keyboard.press('ArrowRight');
  expect(await dialog.getByRole('combobox').getAttribute('aria-activedescendant')).toBe('emoji-1');
  await dialog.getByRole('button', { name: 'Food' }).click();
  await dialog.getByRole('option', { name: 'red apple' }).waitFor();
  await dialog.getByRole('combobox').fill('happy');
  await dialog.getByRole('option').first().waitFor();
  await dialog.getByRole('combobox').fill('rocket');
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  expect(await draft(page)).toBe('before 🚀 after');
  expect(await page.evaluate('document.activeElement.id')).toBe('input');
  await page.getByRole('button', { name: 'Emoji' }).click();
  await dialog.waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
});

test('says so if the emoji cannot be loaded, and sends as before', async () => {
  const page = await chat.newPage();
  await page.addInitScript(`localStorage['pumphouse.chat'] ??= JSON.stringify({ name: 'ada' })`);
  await page.route(/(emoji|completion)[^/]*\.js$/, (route) => route.abort());
  await page.goto(`${chat.server().url}/#/offline`);
  await page.locator('#input').waitFor();
  await page.getByRole('button', { name: 'Emoji' }).click();
  await page.getByText('The emoji could not be loaded.').waitFor();
  await send(page, 'a :wave');
  await waitForMessage(page, 'a :wave');
});
