import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { type Browser, chromium as driver, type Page } from 'playwright-core';
import type { Hub, Room } from 'pumphouse/client';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { chromium, flags } from '../browser/chromium.ts';
import { type Server, startServer } from '../server.ts';

/** What the test's page keeps for the test. */
interface Scene {
  hub: Hub;
  room: Room<string, string>;
  heard: string[];
  states: string[];
}
declare const scene: Scene;

const PAGE = '<!doctype html><title>test</title><script type="module" src="/page.js"></script>';
const SCRIPT = `
  import { connect } from './client.js';
  const hub = connect();
  const room = hub.join('r', { history: 100 });
  globalThis.scene = { hub, room, heard: [], states: [] };
  room.on('message', ({ data }) => scene.heard.push(data));
  hub.on('state', ({ name }) => scene.states.push(name));
`;

let browser: Browser | undefined;
let server: Server;
let folder: string;

beforeAll(async () => {
  const executablePath = await chromium();
  if (!executablePath) return;
  folder = mkdtempSync(join(tmpdir(), 'pumphouse-page-'));
  writeFileSync(join(folder, 'index.html'), PAGE);
  writeFileSync(join(folder, 'page.js'), SCRIPT);
  await build({ entryPoints: ['web/sdk/index.ts'], bundle: true, format: 'esm', outfile: join(folder, 'client.js') });
  const data = ['--engine', 'lmdb', '--data', join(folder, 'data')];
  server = await startServer(['--web', folder, ...data]);
  browser = await driver.launch({ executablePath, args: flags });
});
beforeEach((context) => {
  context.skip(!browser, 'no Chromium: the browser tests need /usr/bin/chromium');
});
afterEach(async () => {
  await Promise.all(browser?.contexts().map((context) => context.close()) ?? []);
});
afterAll(async () => {
  await Promise.all([browser?.close(), server?.kill()]);
  if (folder) rmSync(folder, { recursive: true, force: true });
});

async function open(page: Page): Promise<Page> {
  await page.goto(server.url);
  await page.waitForFunction(() => scene?.hub.state.name === 'live' && scene.room.place !== undefined);
  return page;
}

async function newPage(): Promise<Page> {
  const context = await (browser as Browser).newContext();
  return open(await context.newPage());
}

const heardBy = (page: Page) => page.evaluate(() => scene.heard);
const session = (page: Page) => page.evaluate(() => (scene.hub.state as { session?: string }).session);

test('what is typed while the server is away survives a reload of the page, and is said once', async () => {
  const page = await newPage();
  const before = await session(page);
  const { port } = server;
  await server.kill('SIGKILL');
  await page.waitForFunction(() => scene.hub.state.name !== 'live');
  await page.evaluate(() => {
    for (const text of ['one', 'two']) void scene.room.send(text);
  });
  await page.waitForFunction(() => scene.hub.pending === 2);
  await page.goto('about:blank');
  const data = ['--engine', 'lmdb', '--data', join(folder, 'data')];
  server = await startServer(['--web', folder, ...data], port);
  await open(page);
  await page.waitForFunction(() => scene.hub.pending === 0 && scene.heard.length >= 2);
  expect(await heardBy(page)).toEqual(['one', 'two']);
  expect(await session(page)).toBe(before);
  await open(page);
  await page.waitForFunction(() => scene.heard.length >= 2);
  expect(await heardBy(page)).toEqual(['one', 'two']);
}, 60_000);

test('tabs of one browser are sessions of their own, each the same again after a reload; a closed one is taken up', async () => {
  const first = await newPage();
  const second = await open(await first.context().newPage());
  const sessions = [await session(first), await session(second)];
  expect(new Set(sessions).size).toBe(2);
  await Promise.all([first.reload(), second.reload()]);
  for (const page of [first, second]) await page.waitForFunction(() => scene?.hub.state.name === 'live');
  expect([await session(first), await session(second)]).toEqual(sessions);
  await first.close();
  // The browser takes the closed page's lock away a little later.
  await second.waitForFunction(async () => (await navigator.locks.query()).held?.length === 1);
  const third = await open(await second.context().newPage());
  expect(await session(third)).toBe(sessions[0]);
});

test('without a network it says so, and is back at once when there is one', async () => {
  const page = await newPage();
  const other = await newPage();
  await page.context().setOffline(true);
  const { port } = server;
  await server.kill('SIGKILL');
  await page.waitForFunction(() => scene.states.includes('offline'));
  await page.evaluate(() => void scene.room.send('from afar'));
  const data = ['--engine', 'lmdb', '--data', join(folder, 'data')];
  server = await startServer(['--web', folder, ...data], port);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(await page.evaluate(() => [scene.hub.state.name === 'live', scene.hub.pending])).toEqual([false, 1]);
  await page.context().setOffline(false);
  await page.waitForFunction(() => scene.hub.pending === 0, undefined, { timeout: 5_000 });
  await other.waitForFunction(() => scene.heard.includes('from afar'), undefined, { timeout: 30_000 });
}, 60_000);

test('a tab that is looked at again does not wait for its turn to come back', async () => {
  const page = await newPage();
  const { port } = server;
  await server.kill('SIGKILL');
  await page.evaluate(() => {
    Math.random = () => 1; // as long as it may take
  });
  await page.waitForFunction(() => {
    const { state } = scene.hub;
    return state.name === 'reconnecting' && state.in > 3_000;
  });
  const data = ['--engine', 'lmdb', '--data', join(folder, 'data')];
  server = await startServer(['--web', folder, ...data], port);
  const [state] = await page.evaluate(() => {
    document.dispatchEvent(new Event('visibilitychange'));
    return [scene.hub.state.name];
  });
  expect(state).toBe('connecting');
  await page.waitForFunction(() => scene.hub.state.name === 'live', undefined, { timeout: 2_500 });
}, 60_000);
