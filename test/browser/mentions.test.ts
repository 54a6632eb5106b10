import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { violations } from './axe.ts';
import { scrollTo, send, sendLines, signInAs, useChat, waitForMessage } from './page.ts';

const chat = useChat(['--publish-rate', 'off']);
const phone = { viewport: { width: 390, height: 760 }, hasTouch: true, isMobile: true };

/** Opens a room as ada, and another one beside it, which is on the screen. */
async function openBeside(room: string, options = {}): Promise<Page> {
  const ada = await chat.openAs('ada', { room, ...options });
  await ada.waitForFunction(`JSON.parse(localStorage['pumphouse.chat']).seen['${room}']`);
  await ada.goto(`${chat.server().url}/#/beside%20${room}`);
  await ada.getByRole('heading', { name: `beside ${room}` }).waitFor();
  return ada;
}

test('marks mentions in the text, and highlights the messages that name the reader', async () => {
  const [ada, bob] = await Promise.all([
    chat.openAs('ada', { room: 'marks' }),
    chat.openAs('Bob M', { room: 'marks' }),
  ]);
  await ada.getByRole('button', { name: '2 people online' }).waitFor();
  await send(ada, '@[Bob M] look: mail@ada.example, @nobody and `@ada`');
  await send(bob, '**@Ada** yes');
  await ada.locator('.mention.me', { hasText: '@Ada' }).waitFor();
  await bob.locator('.mentioned').waitFor();
  for (const page of [ada, bob]) {
    expect(await page.locator('.mention').allTextContents()).toEqual(['@Bob M', '@Ada']);
    expect(await page.locator('.mentioned').count()).toBe(1);
  }
  expect(await bob.locator('.mentioned').textContent()).toContain('Mentions you: ');
  expect(await bob.locator('.mention.me').textContent()).toBe('@Bob M');
  expect(await violations(ada)).toEqual([]);
});

test.each([
  ['a desktop', {}],
  ['a phone', phone],
] as const)('counts mentions in a badge of their own, which goes as they are read, on %s', async (name, options) => {
  const room = `badge on ${name}`;
  const ada = await openBeside(room, { ...options, colorScheme: 'dark' });
  const bob = chat.bot('bob', room);
  await sendLines(bob, 'line', 40);
  await bob.send({ text: 'are you there, @ada?' });
  await sendLines(bob, 'more', 40);
  await bob.send({ text: '@ada!' });
  if (options === phone) await ada.getByRole('button', { name: 'Rooms 2 mention you, 82 unread' }).click();
  const link = ada.getByRole('link', { name: `${room} 2 mention you, 82 unread` });
  await link.waitFor();
  expect(await violations(ada)).toEqual([]);
  await ada.reload();
  if (options === phone) await ada.getByRole('button', { name: 'Rooms 2 mention you, 82 unread' }).click();
  await link.click();
  await ada.locator('.unread-line').waitFor();
  await scrollTo(ada, 'are you there, @ada?');
  const rest = ada.locator('.mention-badge', { hasText: /^@1 mentions you, $/ });
  await expect.poll(() => rest.count()).toBeGreaterThan(0);
  await ada.locator('.jump').click();
  await expect.poll(() => ada.locator('.mention-badge').count()).toBe(0);
});

test('notifies of mentions by a setting of its own', async () => {
  const ada = await chat.newPage({ permissions: ['notifications'] });
  await ada.addInitScript(`
    window.notified = [];
    window.Notification = class { static permission = 'granted'; constructor(title, { body, tag }) { notified.push(title + ': ' + body + ' #' + tag) } close() {} };
    Document.prototype.hasFocus = () => false;
  `);
  await ada.goto(`${chat.server().url}/#/quiet`);
  await signInAs(ada, 'ada');
  await ada.getByLabel('Notify me when I am mentioned').check();
  const bob = chat.bot('bob', 'quiet');
  await bob.send({ text: 'nothing for you' });
  await waitForMessage(ada, 'nothing for you');
  await bob.send({ text: 'hey @ADA' });
  const mention = 'bob mentioned you in quiet: hey @ADA #pumphouse quiet mention';
  await expect.poll(() => ada.evaluate('notified')).toEqual([mention]);
  await bob.send({ text: 'later' });
  await waitForMessage(ada, 'later');
  await ada.reload();
  expect(await ada.getByLabel('Notify me when I am mentioned').isChecked()).toBe(true);
  expect(await ada.getByLabel('Notify me about new messages').isChecked()).toBe(false);
  await ada.getByLabel('Notify me when I am mentioned').uncheck();
  await bob.send({ text: '@ada again' });
  await ada.locator('.mentioned', { hasText: 'again' }).waitFor();
  expect(await ada.evaluate('notified')).toEqual([]);
});
