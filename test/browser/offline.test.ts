import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { Users } from '../../src/auth/users.ts';
import { CHAT } from '../../src/http/routes.ts';
import { type Server, startServer } from '../server.ts';
import { violations } from './axe.ts';
import { chromium, NO_CHROMIUM } from './chromium.ts';
import { send, sendLines, signInAs, useChat, waitForMessage, waitForStatus } from './page.ts';

const chat = useChat({ publishRate: 'off' });
const allowed = { serviceWorkers: 'allow' } as const;
const phone = { viewport: { width: 390, height: 760 }, hasTouch: true, isMobile: true };

async function start(flags: readonly string[], port?: number): Promise<Server> {
  const server = await startServer(flags, port);
  chat.onTestEnd(() => server.kill('SIGKILL'));
  return server;
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-offline-'));
  chat.onTestEnd(() => rmSync(folder, { recursive: true }));
  return folder;
}

const portOf = ({ url }: Server) => Number(new URL(url).port);

/** Waits until the service worker controls the page. */
async function waitForWorker(page: Page): Promise<void> {
  await expect.poll(() => page.evaluate('navigator.serviceWorker.controller !== null')).toBe(true);
}

/** The page stores its messages every few seconds, and to read them takes time. */
const STORED = { timeout: 15_000, interval: 250 };

/** Returns how many messages this browser has stored, by room. */
function stored(page: Page): Promise<Record<string, number>> {
  // Opening a database that does not exist would create it.
  return page.evaluate(`indexedDB.databases().then(({ length }) => length > 0 && new Promise((done) => {
    const request = indexedDB.open('pumphouse.chat');
    request.onsuccess = () => {
      const store = request.result.transaction('rooms').objectStore('rooms');
      const [keys, values] = [store.getAllKeys(), store.getAll()];
      values.onsuccess = () => {
        request.result.close();
        done(Object.fromEntries(keys.result.map((key, at) => [key, values.result[at].length])));
      };
    };
  }))`);
}

test('is installable', async ({ skip }) => {
  skip(!(await chromium(true)), NO_CHROMIUM);
  const page = await chat.openAs('ada', { room: 'install', ...allowed, isWhole: true });
  await waitForWorker(page);
  const devtools = await page.context().newCDPSession(page);
  const { errors, data } = await devtools.send('Page.getAppManifest');
  expect(errors).toEqual([]);
  const { installabilityErrors } = await devtools.send('Page.getInstallabilityErrors');
  // A test's browser profile is private, where nothing can be installed.
  expect(installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== 'in-incognito')).toEqual([]);
  for (const { src } of JSON.parse(data ?? '').icons) {
    const response = await page.request.get(`${chat.server().url}/${src}`);
    expect(response.headers()['content-type']).toBe('image/png');
  }
  const worker = await page.request.get(`${chat.server().url}/sw.js`);
  expect(worker.headers()['cache-control']).toBe('no-cache');
  expect(worker.headers()['content-type']).toMatch(/^text\/javascript/);
});

test.each([
  ['a desktop', {}],
  ['a phone, in the dark', { ...phone, colorScheme: 'dark' }],
] as const)('opens without the server on %s, with the rooms and messages that were there', async (_, options) => {
  const server = await start(['--publish-rate', 'off']);
  const ada = await chat.openAs('ada', { room: 'first', url: server.url, ...options, ...allowed });
  await waitForWorker(ada);
  const bob = chat.bot('bob', 'first', server.url);
  await sendLines(bob, 'line', 120);
  await bob.send({ text: 'and **bold**' });
  await ada.locator('.text strong', { hasText: 'bold' }).waitFor();
  await ada.goto(`${server.url}/#/second`);
  await ada.getByRole('heading', { name: 'second' }).waitFor();
  await chat.bot('bob', 'second', server.url).send({ text: 'in the second room' });
  await waitForMessage(ada, 'in the second room');
  await expect.poll(() => stored(ada), STORED).toEqual({ first: 100, second: 1 });
  await server.kill('SIGKILL');
  await ada.goto('about:blank');
  await ada.goto(`${server.url}/#/first`);
  await waitForStatus(ada, /Reconnecting|Offline/);
  await waitForMessage(ada, 'line 119');
  await ada.locator('.text strong', { hasText: 'bold' }).waitFor();
  await ada.getByText('Offline: these are the latest 100 messages that this browser has stored.').waitFor();
  expect(await ada.locator('.message').count()).toBe(100);
  expect(await violations(ada)).toEqual([]);
  await ada.goto(`${server.url}/#/second`);
  await waitForMessage(ada, 'in the second room');
  await ada.getByText('Offline: these are the latest 1 message').waitFor();

  const again = await start(['--publish-rate', 'off'], portOf(server));
  await waitForStatus(ada, 'Live');
  await send(ada, 'back again');
  if (options !== phone) await expect.poll(() => ada.getByText(/^Offline: these/).count()).toBe(0);
  expect(again.url).toBe(server.url);
});

test('stores nothing of a user who signs out', async () => {
  const folder = temporaryFolder();
  await new Users(join(folder, 'users.json')).set('ada', 'secret');
  const server = await chat.serve({ auth: 'otp', users: join(folder, 'users.json') });
  const ada = await chat.newPage(allowed);
  await ada.goto(server.url);
  await ada.getByLabel('Username').fill('ada');
  await ada.getByLabel('Password').fill('secret');
  await ada.keyboard.press('Enter');
  await waitForStatus(ada, 'Live');
  await send(ada, 'for me alone');
  await waitForMessage(ada, 'for me alone');
  await expect.poll(() => stored(ada), STORED).toEqual({ lobby: 1 });
  await ada.getByRole('button', { name: 'Sign out' }).click();
  await ada.getByLabel('Username').waitFor();
  expect(await stored(ada)).toEqual({});
  expect(await ada.evaluate('Object.keys(localStorage).concat(Object.keys(sessionStorage))')).toEqual([]);
});

test('forgets the messages of a room that the user leaves', async () => {
  const ada = await chat.openAs('ada', { room: 'left' });
  await send(ada, 'here');
  await waitForMessage(ada, 'here');
  await expect.poll(() => stored(ada), STORED).toEqual({ left: 1 });
  await ada.getByRole('button', { name: 'Room menu' }).click();
  await ada.getByRole('button', { name: 'Leave room' }).click();
  await expect.poll(() => stored(ada)).toEqual({});
});

/** Makes the next version of a built chat: its script has another name. */
function release(folder: string, version: number): void {
  const script = readdirSync(`${folder}/assets`).find((file) => /^index-.*\.js$/.test(file)) as string;
  const next = `index-version${version}.js`;
  renameSync(`${folder}/assets/${script}`, `${folder}/assets/${next}`);
  for (const file of ['index.html', 'sw.js']) {
    const content = readFileSync(`${folder}/${file}`, 'utf8').replaceAll(script, next);
    writeFileSync(`${folder}/${file}`, content.replace(/VERSION = '\w+'/, `VERSION = '${version}'`));
    for (const ending of ['br', 'gz']) rmSync(`${folder}/${file}.${ending}`, { force: true });
  }
  for (const file of readdirSync(`${folder}/assets`)) {
    if (!file.endsWith('.js')) continue;
    const path = `${folder}/assets/${file}`;
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(script, next));
    for (const ending of ['br', 'gz']) rmSync(`${path}.${ending}`, { force: true });
  }
}

const scriptOf = (page: Page) => page.locator('script[type=module]').getAttribute('src');

test('offers a new version to an open page, and takes it on the next open', async () => {
  const folder = join(temporaryFolder(), 'web');
  cpSync(CHAT, folder, { recursive: true });
  const server = await chat.serve({ web: folder });
  const ada = await chat.openAs('ada', { room: 'update', url: server.url, ...allowed });
  await waitForWorker(ada);
  release(folder, 2);
  await ada.evaluate('navigator.serviceWorker.getRegistration().then((registration) => registration.update())');
  await ada.getByText('A new version of this page is ready.').waitFor();
  expect(await violations(ada)).toEqual([]);
  expect(await scriptOf(ada)).not.toContain('version2');
  await ada.getByRole('button', { name: 'Reload' }).click();
  await expect.poll(() => scriptOf(ada).catch(() => '')).toContain('version2');
  await waitForStatus(ada, 'Live');
  expect(await ada.getByText('A new version').count()).toBe(0);

  release(folder, 3);
  await ada.reload();
  await waitForStatus(ada, 'Live');
  expect(await scriptOf(ada)).toContain('version3');
  // Its worker follows without a question, and drops the files of the old version.
  await expect.poll(() => ada.evaluate('caches.keys()')).toEqual(['pumphouse-chat 3']);
  expect(await ada.getByText('A new version').count()).toBe(0);
});

test('leaves every other page of the origin alone, also one that takes the place of the chat', async () => {
  const server = await start([]);
  const ada = await chat.openAs('ada', { room: 'alone', url: server.url, ...allowed });
  await waitForWorker(ada);
  expect((await ada.goto(`${server.url}/metrics`))?.fromServiceWorker()).toBe(false);
  const missing = await ada.goto(`${server.url}/admin`);
  expect([missing?.status(), missing?.fromServiceWorker()]).toEqual([404, false]);
  await server.kill('SIGKILL');
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'index.html'), '<!doctype html><title>Another page</title><p>Not the chat</p>');
  await start(['--web', folder], portOf(server));
  await ada.goto(server.url);
  await ada.getByText('Not the chat').waitFor();
  await expect
    .poll(() => ada.evaluate('navigator.serviceWorker.getRegistrations().then(({ length }) => length)'))
    .toBe(0);
  expect(await ada.evaluate('caches.keys()')).toEqual([]);
});

test('works where the browser has no service worker and no database', async () => {
  const page = await chat.newPage();
  await page.addInitScript(`delete Navigator.prototype.serviceWorker; delete window.indexedDB;`);
  await page.goto(`${chat.server().url}/#/without`);
  await signInAs(page, 'ada');
  await send(page, 'still works');
  await waitForMessage(page, 'still works');
});
