import type { Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Snapshot } from '../../../src/protocol/snapshot.ts';
import { useChat } from '../page.ts';
import { ALL_LOOKS, expectAccessible } from './axe.ts';
import { type ScriptedServer, startScripted } from './scripted.ts';
import { evictionsOf, HOSTILE_NAMES, snapshotAt, threadWith, troubledSnapshot } from './snapshots.ts';

const { newPage } = useChat();
let server: ScriptedServer;
beforeAll(async () => {
  server = await startScripted();
});
beforeEach(() => server.refuse(undefined));
afterAll(() => server.close());

const panel = (page: Page, name: string) => page.locator(`[data-panel="${name}"]`);

/** Opens the page, and shows it some snapshots. */
async function openWith(...snapshots: readonly Snapshot[]): Promise<Page> {
  server.show(snapshots[0] as Snapshot);
  const page = await newPage({ viewport: { width: 1280, height: 800 } });
  await page.goto(server.url);
  await panel(page, 'load').waitFor();
  for (const snapshot of snapshots.slice(1)) server.show(snapshot);
  const uptime = snapshots.at(-1)?.uptime ?? 0;
  await page.getByText(`${Math.floor(uptime / 60)} min ${uptime % 60} s`, { exact: true }).waitFor();
  return page;
}

describe('in every state, the page is accessible, in light and dark, and on a phone', () => {
  test('at rest', async () => {
    const page = await openWith(snapshotAt(0), snapshotAt(1), snapshotAt(2));
    await page.getByText('Every panel is normal.').waitFor();
    await page.getByText('No room was busy in the last second.').waitFor();
    await page.getByText('No client was evicted.').waitFor();
    await expectAccessible(page);
  });

  test('with trouble everywhere, hostile names, and disconnected', async () => {
    const page = await openWith(
      ...[1, 2, 3].map(troubledSnapshot).map((snapshot) => ({ ...snapshot, hottest: snapshot.hottest.slice(0, 12) })),
    );
    const status = page.getByRole('status');
    await status.getByText('Engine away').waitFor();
    await status.getByText('1 worker missing').waitFor();
    await expect.poll(() => page.locator('.verdict button').count()).toBeGreaterThan(5);
    expect(await panel(page, 'load').locator('.health').textContent()).toBe('Act');
    await expectAccessible(page, ALL_LOOKS);

    server.disconnect();
    server.refuse(503);
    await status.getByText('Disconnected, retrying').waitFor();
    await status.getByText('the server answered with status 503').waitFor();
    expect(await status.getByText('Engine away').count()).toBe(0);
    await expectAccessible(page);
  }, 40_000);

  test('at the form for the key, and at a session and a user', async () => {
    server.refuse(401);
    const page = await newPage({ viewport: { width: 1280, height: 800 } });
    await page.goto(server.url);
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await expectAccessible(page);
    server.refuse(undefined);
    await page.getByLabel('API key').fill('key');
    await page.keyboard.press('Enter');
    for (const hash of ['#/session/abcdefgh_-345678', `#/user/${encodeURIComponent('w'.repeat(128))}`]) {
      await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
      await page.locator('.otherwise').waitFor();
      await expectAccessible(page);
    }
  });
});

test('names of clients are inert, and keep the layout', async () => {
  const page = await openWith(...[1, 2, 3].map(troubledSnapshot));
  const names = page.locator('[data-panel="rooms"] tbody th');
  const texts = await names.allTextContents();
  expect(texts).toHaveLength(50);
  expect(texts).toContain('<img src=x onerror="document.title=1">');
  expect(texts).toContain('\\u{202e}gnitrever');
  expect(texts.join('')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}]/u);
  expect(await page.title()).toContain('Pumphouse');
  expect(await page.locator('main img').count()).toBe(0);
  const heights = await names.evaluateAll((cells) => cells.map((cell) => (cell as HTMLElement).offsetHeight));
  expect(Math.max(...heights) - Math.min(...heights)).toBeLessThanOrEqual(1);
  // A link to a user leads to the name as it is.
  await page.locator('.evictions a').first().click();
  await expect.poll(() => page.url()).toContain(`#/user/${encodeURIComponent(HOSTILE_NAMES[0] as string)}`);
});

test('draws what moves, and nothing for an operator who wants no movement or without news', async () => {
  const page = await openWith(...[1, 2].map((second) => ({ ...troubledSnapshot(second), missing: 0 })));
  const running = () =>
    page.evaluate(`document.getAnimations().filter((animation) =>
      animation.playState === 'running' && !(animation instanceof CSSTransition)).length`);
  await expect.poll(running).toBeGreaterThan(3);
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await expect.poll(() => page.evaluate('document.getAnimations().length')).toBe(0);
  await page.emulateMedia({ reducedMotion: 'no-preference' });
  await expect.poll(running).toBeGreaterThan(3);
  server.refuse(503);
  server.disconnect();
  await expect.poll(running).toBe(0);
});

test('selects a worker, whose figures are shown alone', async () => {
  const threads = [1, 2].map((worker) => threadWith({ worker, connections: 10 * worker }));
  const page = await openWith(snapshotAt(0, { threads }), snapshotAt(1, { threads }));
  const connections = panel(page, 'connections').locator('.legend dd').first();
  await expect.poll(() => connections.textContent()).toBe('30');
  await page.getByLabel('Figures of').selectOption('worker 2');
  await expect.poll(() => connections.textContent()).toBe('20');
  server.show(snapshotAt(2, { threads: threads.slice(0, 1), missing: 1 }));
  await expect.poll(() => connections.textContent()).toBe('–');
  await page.getByLabel('Figures of').selectOption('all 2 workers');
  server.show(snapshotAt(3, { threads }));
  await expect.poll(() => connections.textContent()).toBe('30');
});

test('sorts the rooms, and moves one cursor over all charts, by keyboard', async () => {
  const page = await openWith(...[1, 2, 3].map((second) => ({ ...troubledSnapshot(second), missing: 0 })));
  const firstRoom = page.locator('[data-panel="rooms"] tbody tr').first();
  const before = await firstRoom.textContent();
  await page.getByRole('button', { name: 'Max lag' }).focus();
  await page.keyboard.press('Enter');
  await expect.poll(() => firstRoom.textContent()).not.toBe(before);
  expect(await page.locator('th[aria-sort]').textContent()).toBe('Max lag');
  expect(await page.locator('th[aria-sort]').getAttribute('aria-sort')).toBe('descending');

  const chart = page.getByRole('slider', { name: 'Messages' });
  await chart.focus();
  await page.keyboard.press('Home');
  const deliveries = panel(page, 'deliveries').locator('.legend dd').first();
  await expect.poll(() => deliveries.textContent()).toBe('–'); // the first snapshot has no rate
  await page.getByText('at the cursor').waitFor();
  await page.keyboard.press('Escape');
  await expect.poll(() => deliveries.textContent()).not.toBe('–');
});

test('announces evictions, and links to the session and the user', async () => {
  const page = await openWith(snapshotAt(0), snapshotAt(1));
  server.show(snapshotAt(2, { evictions: evictionsOf(['bob', 'ada']) }));
  const first = page.locator('.evictions li').first();
  await first.getByRole('link', { name: 'bob' }).waitFor();
  expect(await first.getByRole('link', { name: 'Session' }).getAttribute('href')).toBe('#/session/abcdefgh_-345678');
  await page.getByRole('log').getByText('2 clients were evicted.').waitFor();
});

test('finds a session or a user', async () => {
  const page = await openWith(snapshotAt(0), snapshotAt(1));
  const field = page.getByRole('searchbox', { name: 'User or session' });
  await field.fill('ada/lovelace');
  await page.keyboard.press('Enter');
  await expect.poll(() => page.url()).toContain('#/user/ada%2Flovelace');
  await field.fill('abcdefgh_-345678');
  await page.keyboard.press('Enter');
  await expect.poll(() => page.url()).toContain('#/session/abcdefgh_-345678');
  await page.getByRole('link', { name: 'look for a user' }).click();
  await expect.poll(() => page.url()).toContain('#/user/abcdefgh_-345678');
});
