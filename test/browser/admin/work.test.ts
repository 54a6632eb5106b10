import type { Page } from 'playwright-core';
import { connect, type Room } from 'pumphouse/client';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { freePort } from '../../../bench/free-port.ts';
import { Keys } from '../../../src/auth/keys.ts';
import { sharedPortProblem } from '../../../src/config/shared-ports.ts';
import { temporaryFolder } from '../../deploy/proxies.ts';
import { sluggard } from '../../integration/server.ts';
import { startServer } from '../../server.ts';
import { variant } from '../../workers/variants.ts';
import { type Text, useChat } from '../page.ts';

const chat = useChat();

/** The place of the parked members in the legend of their panel. */
const PARKED = 2;

async function openAt(url: string): Promise<Page> {
  const page = await chat.newPage({ viewport: { width: 1280, height: 800 } });
  await page.goto(url);
  return page;
}

const panel = (page: Page, name: string) => page.locator(`[data-panel="${name}"]`);

/** Returns a figure of a panel's legend. */
async function figure(page: Page, name: string, index = 0): Promise<number> {
  const text = await panel(page, name).locator('.legend dd').nth(index).textContent();
  return Number(text?.replaceAll(',', ''));
}

/** A client that stops to read once its connection is open. */
class StalledSocket extends WebSocket {
  constructor(address: string | URL, protocols?: string | string[]) {
    super(address, protocols);
    this.once('message', () => setImmediate(() => this.once('message', () => this.pause())));
  }
}

/** Joins a room with clients that do not read. */
function joinStalled(room: string, count: number, url: string): void {
  for (let i = 0; i < count; i++) {
    const hub = connect(url, { user: `slow-${i}`, WebSocket: StalledSocket });
    chat.onTestEnd(() => hub.close());
    hub.join(room);
  }
}

/** Sends messages until a function returned is called, fast at first, to fill the sockets. */
function sendOn(room: Room<Text, unknown>): () => Promise<void> {
  let isSending = true;
  const sending = (async () => {
    for (let sent = 0; isSending; sent++) {
      await room.send({ text: 'x'.repeat(3_000) }).catch(() => {});
      if (sent > 1_000) await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  return () => {
    isSending = false;
    return sending;
  };
}

test('shows the work of clients, and members that are parked, then evicted', async () => {
  const port = await freePort();
  const limits = ['--publish-rate', 'off', '--send-buffer', '150'];
  const server = await startServer([...limits, '--admin-listen', `127.0.0.1:${port}`]);
  chat.onTestEnd(() => server.kill('SIGKILL'));
  const page = await openAt(`http://127.0.0.1:${port}/`);
  await page.getByRole('status').getByText('Serving').waitFor();
  const ada = chat.bot('ada', 'lobby', server.url);
  await ada.send({ text: 'hello' });
  await expect.poll(() => figure(page, 'connections')).toBe(1);
  joinStalled('lobby', 50, server.url);
  await expect.poll(() => figure(page, 'members')).toBe(51);

  const stopSending = sendOn(ada);
  await expect.poll(() => figure(page, 'messages')).toBeGreaterThan(0);
  await expect.poll(() => figure(page, 'deliveries')).toBeGreaterThan(0);
  await panel(page, 'rooms').getByRole('rowheader', { name: 'lobby' }).waitFor();
  await expect.poll(() => figure(page, 'members', PARKED), { timeout: 30_000 }).toBeGreaterThan(0);
  const evictions = panel(page, 'evictions');
  await evictions
    .getByRole('link', { name: /^slow-/ })
    .first()
    .waitFor({ timeout: 30_000 });
  await expect.poll(() => evictions.locator('.health').textContent()).toBe('Act');
  await stopSending();
}, 60_000);

test('shows a drain, that the server is away, and the next server', async () => {
  const port = await freePort();
  // The transport ws waits for the answer to its close frame.
  const flags = ['--transport', 'ws', '--drain-window', '3', '--admin-listen', `127.0.0.1:${port}`];
  const first = await startServer(flags);
  chat.onTestEnd(() => first.kill('SIGKILL'));
  const page = await openAt(`http://127.0.0.1:${port}/`);
  const status = page.getByRole('status');
  const tcp = await sluggard(first.port); // never answers
  chat.onTestEnd(() => tcp.destroy());
  await expect.poll(() => figure(page, 'connections')).toBe(1);
  const stopped = first.kill();
  await status.getByText('Draining').waitFor();
  await status.getByText('Disconnected, retrying').waitFor();
  await stopped;
  const second = await startServer(flags);
  chat.onTestEnd(() => second.kill('SIGKILL'));
  await status.getByText('Serving').waitFor();
  expect(await status.getByText('Disconnected').count()).toBe(0);
  await expect.poll(() => figure(page, 'connections')).toBe(0);
}, 40_000);

test('asks for a key, and keeps it out of the address', async () => {
  const file = `${temporaryFolder()}/keys.json`;
  const keys = new Keys(file);
  const admin = keys.add({ name: 'ops', scopes: ['admin'] });
  const other = keys.add({ name: 'backend', scopes: ['publish'] });
  const port = await freePort();
  const server = await startServer(['--admin-listen', `0.0.0.0:${port}`, '--keys', file]);
  chat.onTestEnd(() => server.kill('SIGKILL'));
  const page = await openAt(`http://127.0.0.1:${port}/`);
  const signInWith = async (key: string) => {
    await page.getByLabel('API key').fill(key);
    await page.keyboard.press('Enter');
  };
  await page.getByText('asks for an API key').waitFor();
  await signInWith(' ');
  await page.getByText('Enter a key.').waitFor();
  await signInWith(`${admin.slice(0, -1)}_`);
  await page.getByText('does not accept this key').waitFor();
  await signInWith(other);
  await page.getByText('The key lacks the scope admin.').waitFor();
  await signInWith(admin);
  await page.getByRole('status').getByText('Serving').waitFor();
  await page.reload();
  await page.getByRole('status').getByText('Serving').waitFor();
  expect(page.url()).not.toContain(admin);
  await page.getByRole('button', { name: 'Forget the key' }).click();
  await page.getByText('asks for an API key').waitFor();
  expect(await page.evaluate('sessionStorage.length + localStorage.length')).toBe(0);
}, 40_000);

test('selects a worker of a server with several', async (context) => {
  const problem = sharedPortProblem(variant.transport);
  context.skip(problem !== undefined, problem);
  const port = await freePort();
  const server = await startServer(['--workers', '2', '--admin-listen', `127.0.0.1:${port}`]);
  chat.onTestEnd(() => server.kill('SIGKILL'));
  for (let i = 0; i < 3; i++) chat.bot(`user-${i}`, 'lobby', server.url);
  const page = await openAt(`http://127.0.0.1:${port}/`);
  await expect.poll(() => figure(page, 'connections')).toBe(3);
  let sum = 0;
  for (const worker of ['worker 1', 'worker 2']) {
    await page.getByLabel('Figures of').selectOption(worker);
    await page.waitForFunction(
      `document.querySelector('select').selectedOptions[0].text === ${JSON.stringify(worker)}`,
    );
    sum += await figure(page, 'connections');
  }
  expect(sum).toBe(3);
}, 40_000);
