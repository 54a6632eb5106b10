import { expect, test } from 'vitest';
import { BadProxy } from '../sdk/bad-proxy.ts';
import { messageTexts, send, useChat, waitForMessage } from './page.ts';

const { server, openAs } = useChat({});

test('the chat works behind a proxy that refuses upgrades, and returns to a WebSocket when it passes them', async () => {
  const proxy = await BadProxy.start(server().port, 'refuse');
  const page = await openAs('ada', { url: proxy.url });
  const posts: string[] = [];
  const frames: unknown[] = [];
  page.on('request', (request) => {
    const body = request.url().includes('/api/v1/session?') ? (request.postData() ?? '') : '';
    if (body.includes('"t":"send"')) posts.push(body);
  });
  page.on('websocket', (socket) => socket.on('framereceived', (frame) => frames.push(frame)));
  await send(page, 'over HTTP');
  await waitForMessage(page, 'over HTTP');
  expect([posts.length, frames.length]).toEqual([1, 0]);
  const path = process.env['SCREENSHOT'];
  if (path) await page.screenshot({ path });
  proxy.upgrades = 'pass';
  // The client looks for a WebSocket at once when its page is shown.
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await expect.poll(() => frames.length).toBeGreaterThan(1);
  await send(page, 'over the WebSocket');
  await waitForMessage(page, 'over the WebSocket');
  expect([await messageTexts(page), posts.length]).toEqual([['over HTTP', 'over the WebSocket'], 1]);
}, 60_000);
