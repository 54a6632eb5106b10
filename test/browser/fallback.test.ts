import { type Browser, chromium as driver } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { BadProxy } from '../sdk/bad-proxy.ts';
import { type Server, startServer } from '../server.ts';
import { chromium, flags } from './chromium.ts';

let browser: Browser | undefined;
let server: Server;

beforeAll(async () => {
  const executablePath = await chromium();
  if (!executablePath) return;
  server = await startServer(['--engine', 'memory']);
  browser = await driver.launch({ executablePath, args: flags });
});
beforeEach((context) => {
  context.skip(!browser, 'Chromium not found: the browser tests need /usr/bin/chromium');
});
afterAll(async () => {
  await Promise.all([browser?.close(), server?.kill()]);
});

test('the chat works behind a proxy that refuses upgrades, and returns to a WebSocket', async () => {
  const proxy = await BadProxy.start(server.port, 'refuse');
  const page = await (browser as Browser).newPage();
  const requests: string[] = [];
  page.on('request', (request) => requests.push(new URL(request.url()).pathname));
  const sockets: boolean[] = [];
  page.on('websocket', (socket) => socket.on('framereceived', () => sockets.push(true)));
  await page.goto(`${proxy.url}/?user=ada`);
  const input = page.getByRole('textbox').last();
  await input.fill('over HTTP');
  await input.press('Enter');
  await page.getByText('over HTTP').first().waitFor();
  await expect.poll(() => requests.filter((path) => path === '/api/v1/session').length).toBeGreaterThan(0);
  expect(requests).toContain('/api/v1/session/events');
  if (process.env['SCREENSHOT']) await page.screenshot({ path: process.env['SCREENSHOT'] });
  proxy.upgrades = 'pass';
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await expect.poll(() => sockets.length).toBeGreaterThan(0);
  const posts = requests.filter((path) => path === '/api/v1/session').length;
  await input.fill('over the WebSocket');
  await input.press('Enter');
  await page.getByText('over the WebSocket').first().waitFor();
  expect(await page.getByText('over HTTP').count()).toBe(1);
  expect(requests.filter((path) => path === '/api/v1/session').length).toBe(posts);
}, 60_000);
