import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { lifeOf, Native, serve, startProxy } from '../lives/admin.ts';
import { useChat, waitForStatus } from './page.ts';

const chat = useChat();
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const HOSTILE = '<img src=x onerror=alert(1)>\u202e';

/** Returns what axe-core finds in a page. */
async function violationsIn(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const found = await page.evaluate<{ id: string; nodes: { html: string }[] }[]>(
    'axe.run().then(({ violations }) => violations)',
  );
  return found.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}

/** Opens the chat through a proxy, in a page whose visibility the test sets as `isHidden`. */
async function openChat(url: string): Promise<Page> {
  const page = await chat.newPage();
  await page.addInitScript(`
    localStorage['pumphouse.chat'] ??= JSON.stringify({ name: 'ada' });
    window.isHidden = false;
    Object.defineProperty(document, 'hidden', { get: () => window.isHidden });
  `);
  await page.goto(url);
  await waitForStatus(page, 'Live');
  return page;
}

test('a page that loses its connection while it is hidden and offline reports that when it is back', async () => {
  const { server, admin } = await serve();
  const proxy = await startProxy(server.url);
  const page = await openChat(proxy.url);
  await lifeOf(admin, 'ada', ({ events }) => events.length > 0);
  await page.evaluate('window.isHidden = true');
  await page.context().setOffline(true);
  proxy.cut();
  await lifeOf(admin, 'ada', ({ end }) => end !== undefined);
  await page.evaluate('window.isHidden = false');
  await page.context().setOffline(false);
  const { end, report } = await lifeOf(admin, 'ada', (life) => life.report !== undefined);
  expect(end).toMatchObject({ code: 1006, by: 'peer' });
  expect(report).toMatchObject({ code: 1006, online: false, visible: false });

  const operator = await chat.newPage({ viewport: { width: 390, height: 760 }, colorScheme: 'dark' });
  await operator.goto(`${admin}/#/user/ada`);
  const ended = operator.locator('.connection[data-open="false"]');
  await ended.getByText('The device of the client was offline.').waitFor();
  expect(await ended.locator('.timeline rect.live').count()).toBe(2);
  expect(await ended.locator('.timeline rect.offline').count()).toBe(1);
  expect(await ended.getByText('offline, with the page hidden, and was back after').count()).toBe(1);
  expect(await violationsIn(operator)).toEqual([]);
  expect(await operator.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
  await operator.getByRole('link', { name: /^[\w-]{16}$/ }).click();
  await operator.getByRole('heading', { name: /^Session [\w-]{16}$/ }).waitFor();
  await expect.poll(() => operator.locator('.connection').count()).toBe(2);
  expect(await violationsIn(operator)).toEqual([]);
});

test('a visible page that a proxy cuts off reports that it was online', async () => {
  const { server, admin } = await serve();
  const proxy = await startProxy(server.url);
  const page = await openChat(proxy.url);
  await lifeOf(admin, 'ada', ({ events }) => events.length > 0);
  proxy.cut();
  const { report } = await lifeOf(admin, 'ada', (life) => life.report !== undefined);
  expect(report).toMatchObject({ code: 1006, online: true, visible: true });
  await waitForStatus(page, 'Live');
});

test('shows names as text, whatever they are, and says what is not remembered', async () => {
  const { server, admin } = await serve();
  const name = encodeURIComponent(HOSTILE);
  const client = new Native(server.url, `user=${name}&room=${name}`);
  await client.next('joined');
  client.send({ t: 'join', room: '' });
  await client.next('error');
  client.socket.close(4321, HOSTILE);
  await lifeOf(admin, HOSTILE, ({ end }) => end !== undefined);
  const page = await chat.newPage();
  await page.goto(`${admin}/#/user/${name}`);
  await page.getByText('The client closed it with code 4321.').waitFor();
  expect(await page.locator('h1').textContent()).toBe('User <img src=x onerror=alert(1)>\\u{202e}');
  expect(await page.locator('main img').count()).toBe(0);
  const lines = await page.locator('.life li').allTextContents();
  expect(lines.some((line) => line.includes('joined \u2068<img'))).toBe(true);
  expect(lines.some((line) => line.includes('was sent the error bad_room'))).toBe(true);
  expect(await violationsIn(page)).toEqual([]);
  await page.goto(`${admin}/#/session/nobody`);
  await page.getByText('No connection of this session is remembered.').waitFor();
  expect(await violationsIn(page)).toEqual([]);
});
