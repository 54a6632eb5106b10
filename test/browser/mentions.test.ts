import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { expectAccessible, violations } from './axe.ts';
import { chromium, NO_CHROMIUM } from './chromium.ts';
import { scrollTo, send, sendLines, signInAs, useChat, waitForMessage } from './page.ts';

const chat = useChat({ publishRate: 'off' });
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
  await ada.locator('strong .mention.me', { hasText: '@Ada' }).waitFor();
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
  const ada = await openBeside(room, options);
  const bob = chat.bot('bob', room);
  await sendLines(bob, 'line', 10);
  await bob.send({ text: 'are you there, @ada?' });
  await sendLines(bob, 'more', 110);
  await bob.send({ text: '@ada!' });
  if (options === phone) await ada.getByRole('button', { name: 'Rooms 2 mention you, 122 unread' }).click();
  const link = ada.getByRole('link', { name: `${room} 2 mention you, 122 unread` });
  await link.waitFor();
  await expectAccessible(ada, 'badges');
  await ada.reload();
  if (options === phone) await ada.getByRole('button', { name: 'Rooms 2 mention you, 122 unread' }).click();
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
    window.Notification = class { static permission = 'granted'; constructor(title, { body, tag }) { notified.push(title + ': ' + body + ' #' + tag.replace(/ [^ ]+ (?=[0-9]+$)/, ' ')) } close() {} };
    Document.prototype.hasFocus = () => false;
  `);
  await ada.goto(`${chat.server().url}/#/quiet`);
  await signInAs(ada, 'ada');
  await ada.getByRole('button', { name: '1 person online' }).waitFor();
  await ada.getByLabel('Notify me when I am mentioned').check();
  const bob = chat.bot('bob', 'quiet');
  await bob.send({ text: 'in a visible room, @ada' });
  await ada.locator('.mentioned').waitFor();
  await ada.goto(`${chat.server().url}/#/noisy`);
  await ada.getByRole('heading', { name: 'noisy' }).waitFor();
  await bob.send({ text: 'nothing for you' });
  await bob.send({ text: 'hey @ADA' });
  await bob.send({ text: 'and @ada' });
  const mentions = ['hey @ADA #pumphouse quiet mention 3', 'and @ada #pumphouse quiet mention 4'];
  const notified = mentions.map((line) => `bob mentioned you in quiet: ${line}`);
  await expect.poll(() => ada.evaluate('notified')).toEqual(notified);
  await bob.send({ text: 'later' });
  const link = ada.getByRole('link', { name: 'quiet 2 mention you, 4 unread' });
  await link.waitFor();
  await ada.reload();
  expect(await ada.getByLabel('Notify me when I am mentioned').isChecked()).toBe(true);
  expect(await ada.getByLabel('Notify me about new messages').isChecked()).toBe(false);
  await link.waitFor();
  await ada.getByLabel('Notify me when I am mentioned').uncheck();
  await bob.send({ text: '@ada again' });
  await ada.getByRole('link', { name: 'quiet 3 mention you, 5 unread' }).waitFor();
  expect(await ada.evaluate('notified')).toEqual([]);
});

/** Waits until the service worker controls the page. */
async function waitForWorker(page: Page): Promise<void> {
  await expect.poll(() => page.evaluate('navigator.serviceWorker.controller !== null')).toBe(true);
}

test('notifies through the service worker, once in several tabs, and a click leads to the message', async ({
  skip,
}) => {
  skip(!(await chromium(true)), NO_CHROMIUM);
  const ada = await chat.newPage({ permissions: ['notifications'], serviceWorkers: 'allow', isWhole: true });
  const context = ada.context();
  await context.addInitScript(`
    Document.prototype.hasFocus = () => !!window.focused;
    const { showNotification } = ServiceWorkerRegistration.prototype;
    window.shown = [];
    ServiceWorkerRegistration.prototype.showNotification = function (title, options) {
      shown.push(title);
      return showNotification.call(this, title, options);
    };
    // As on Android.
    const { permission } = Notification;
    window.Notification = class { static permission = permission; constructor() { throw new TypeError('Illegal constructor') } };
  `);
  await ada.goto(`${chat.server().url}/#/pumps`);
  await signInAs(ada, 'ada');
  await waitForWorker(ada);
  await ada.getByRole('button', { name: '1 person online' }).waitFor();
  const bob = chat.bot('bob', 'pumps');
  await sendLines(bob, 'line', 150);
  await waitForMessage(ada, 'line 149');
  await ada.locator('.log').evaluate((log) => log.scrollTo(0, 0));
  const other = await chat.newPage(ada);
  await other.goto(`${chat.server().url}/#/elsewhere`);
  await other.getByRole('heading', { name: 'elsewhere' }).waitFor();
  await other.getByLabel('Notify me when I am mentioned').check();
  await expect.poll(() => ada.getByLabel('Notify me when I am mentioned').isChecked()).toBe(true);

  const pages = [ada, other];
  /** Waits until both tabs have counted the mentions, and asked which rooms are on a screen. */
  const inBoth = async (mentions: number) => {
    const name = `pumps ${mentions} mention${mentions > 1 ? '' : 's'} you, ${mentions} unread`;
    await Promise.all(pages.map((page) => page.getByRole('link', { name }).waitFor()));
    await Promise.all(pages.map((page) => page.evaluate('navigator.locks.query().then(() => {})')));
  };
  const inWorker = <T>(script: string) => context.serviceWorkers()[0]?.evaluate<T>(script);
  const notifications = () =>
    inWorker<string[]>('registration.getNotifications().then((all) => all.map(({ body }) => body))');
  // A tab that shows the room, or that has the focus, keeps all tabs quiet.
  await bob.send({ text: '@ada, on a screen' });
  await inBoth(1);
  await ada.goto(`${chat.server().url}/#/beside`);
  await ada.getByRole('heading', { name: 'beside' }).waitFor();
  await bob.send({ text: '@ada one' });
  await bob.send({ text: '@ada two' });
  await inBoth(3);
  await expect.poll(notifications).toEqual(['@ada one', '@ada two']);
  await other.evaluate(`focused = true; dispatchEvent(new Event('focus'))`);
  await bob.send({ text: '@ada, in front' });
  await inBoth(4);
  await other.evaluate(`focused = false; dispatchEvent(new Event('blur'))`);
  await bob.send({ text: '@ada three' });
  await expect.poll(notifications).toEqual(['@ada one', '@ada two', '@ada three']);
  const shown = await Promise.all(pages.map((page) => page.evaluate<string[]>('shown')));
  expect(shown.flat()).toEqual(Array(3).fill('bob mentioned you in pumps'));

  // Only a person can click: the event of a script may neither focus a window nor open one.
  const click = (body: string) =>
    inWorker(`(async () => {
    const [notification] = (await registration.getNotifications()).filter(({ body }) => body === '${body}');
    const event = new NotificationEvent('notificationclick', { notification });
    await new Promise((done) => {
      event.waitUntil = (work) => work.catch(() => {}).then(done);
      dispatchEvent(event);
    });
  })()`);
  await click('@ada two');
  await Promise.any(pages.map((page) => page.locator('.message[tabindex="-1"]', { hasText: '@ada two' }).waitFor()));
  // What has been read notifies no more.
  await expect.poll(notifications).toEqual([]);
  for (const page of pages) await page.goto(`${chat.server().url}/livez`);
  await inWorker(`clients.openWindow = async (url) => { self.opened = url };
    registration.showNotification('bob', { body: 'closed', data: { hash: '#/pumps?message=9' } })`);
  await click('closed');
  expect(await inWorker('opened')).toBe(`${chat.server().url}/#/pumps?message=9`);
});
