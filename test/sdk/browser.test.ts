import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import type { Hub, Room } from 'pumphouse/client';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { chromium, NO_CHROMIUM } from '../browser/chromium.ts';
import { type Server, startServer } from '../server.ts';

/** The global `scene` of the page under test. */
interface Scene {
  hub: Hub;
  room: Room<string, string>;
  received: string[];
  states: string[];
}
declare const scene: Scene;

const PAGE = '<!doctype html><title>test</title><script type="module" src="/page.js"></script>';
const SCRIPT = `
  import { connect } from './client.js';
  const hub = connect(new URLSearchParams(location.search).get('hub') ?? undefined);
  const room = hub.join('r', { history: 100 });
  globalThis.scene = { hub, room, received: [], states: [] };
  room.on('message', ({ data }) => scene.received.push(data));
  hub.on('state', ({ name }) => scene.states.push(name));
`;

let browser: Browser | undefined;
let server: Server;
let folder: string;

beforeAll(async () => {
  browser = await chromium();
  if (!browser) return;
  folder = mkdtempSync(join(tmpdir(), 'pumphouse-page-'));
  writeFileSync(join(folder, 'index.html'), PAGE);
  writeFileSync(join(folder, 'page.js'), SCRIPT);
  await build({ entryPoints: ['web/sdk/index.ts'], bundle: true, format: 'esm', outfile: join(folder, 'client.js') });
  const data = ['--engine', 'lmdb', '--data', join(folder, 'data')];
  server = await startServer(['--web', folder, ...data]);
});
beforeEach((context) => context.skip(!browser, NO_CHROMIUM));
afterEach(async () => {
  await Promise.all(browser?.contexts().map((context) => context.close()) ?? []);
});
afterAll(async () => {
  await server?.kill();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

async function open(page: Page): Promise<Page> {
  await page.goto(server.url);
  await page.waitForFunction(() => scene?.hub.state.name === 'live' && scene.room.place !== undefined);
  return page;
}

async function blankPage(): Promise<Page> {
  const context = await (browser as Browser).newContext();
  return context.newPage();
}

async function newPage(): Promise<Page> {
  return open(await blankPage());
}

const receivedBy = (page: Page) => page.evaluate(() => scene.received);
const sessionOf = (page: Page) => page.evaluate(() => (scene.hub.state as { session?: string }).session);

test('messages sent while the server is down survive a reload of the page and are stored once', async () => {
  const page = await newPage();
  const before = await sessionOf(page);
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
  await page.waitForFunction(() => scene.hub.pending === 0 && scene.received.length >= 2);
  expect(await receivedBy(page)).toEqual(['one', 'two']);
  expect(await sessionOf(page)).toBe(before);
  await open(page);
  await page.waitForFunction(() => scene.received.length >= 2);
  expect(await receivedBy(page)).toEqual(['one', 'two']);
}, 60_000);

test('each tab resumes its own session after a reload, and a new tab resumes that of a closed one', async () => {
  const first = await newPage();
  const second = await open(await first.context().newPage());
  const sessions = [await sessionOf(first), await sessionOf(second)];
  expect(new Set(sessions).size).toBe(2);
  await Promise.all([first.reload(), second.reload()]);
  for (const page of [first, second]) await page.waitForFunction(() => scene?.hub.state.name === 'live');
  expect([await sessionOf(first), await sessionOf(second)]).toEqual(sessions);
  await first.close();
  // The browser releases the lock of the closed page a little later.
  await second.waitForFunction(async () => (await navigator.locks.query()).held?.length === 1);
  const third = await open(await second.context().newPage());
  expect(await sessionOf(third)).toBe(sessions[0]);
});

test('enters the state offline without a network, and reconnects at once when it returns', async () => {
  const page = await newPage();
  const other = await newPage();
  await page.context().setOffline(true);
  const { port } = server;
  await server.kill('SIGKILL');
  await page.waitForFunction(() => scene.states.includes('offline'));
  await page.evaluate(() => void scene.room.send('sent offline'));
  const data = ['--engine', 'lmdb', '--data', join(folder, 'data')];
  server = await startServer(['--web', folder, ...data], port);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(await page.evaluate(() => [scene.hub.state.name === 'live', scene.hub.pending])).toEqual([false, 1]);
  await page.context().setOffline(false);
  await page.waitForFunction(() => scene.hub.pending === 0, undefined, { timeout: 5_000 });
  await other.waitForFunction(() => scene.received.includes('sent offline'), undefined, { timeout: 30_000 });
}, 60_000);

test('reconnects at once when its tab becomes visible', async () => {
  const page = await newPage();
  const { port } = server;
  await server.kill('SIGKILL');
  await page.evaluate(() => {
    Math.random = () => 1; // the longest delay
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

test('a page of another origin is refused, and its console names the flag that admits it', async () => {
  const other = await startServer(['--engine', 'memory']);
  const page = await blankPage();
  const warnings: string[] = [];
  page.on('console', (message) => message.type() === 'warning' && warnings.push(message.text()));
  await page.goto(`${server.url}?hub=${other.url}`);
  await page.waitForFunction(() => scene.hub.state.name === 'refused');
  expect(await page.evaluate(() => scene.hub.state)).toMatchObject({ code: 4502, why: 'this origin is not allowed' });
  expect(warnings.join()).toContain(`--origin ${server.url}`);
  await other.kill();

  const admitting = await startServer(['--engine', 'memory', '--origin', server.url]);
  await page.goto(`${server.url}?hub=${admitting.url}`);
  await page.waitForFunction(() => scene.hub.state.name === 'live');
  await admitting.kill();
});

test('a page waits as long as a full server asks, then connects', async () => {
  const full = await startServer(['--engine', 'memory', '--connections-per-address', '1', '--origin', server.url]);
  const [first, second] = [await blankPage(), await blankPage()];
  await first.goto(`${server.url}?hub=${full.url}`);
  await first.waitForFunction(() => scene.hub.state.name === 'live');
  await second.goto(`${server.url}?hub=${full.url}`);
  await second.waitForFunction(() => scene.hub.state.name === 'waiting');
  expect(await second.evaluate(() => scene.hub.state)).toMatchObject({ code: 4005, in: expect.any(Number) });
  await first.close();
  await second.waitForFunction(() => scene.hub.state.name === 'live');
  await full.kill();
});
