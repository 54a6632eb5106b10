import { once } from 'node:events';
import { type Browser, chromium as driver, type Page, type WebSocketRoute } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Server, startServer } from '../../bench/server.ts';
import { chromium, flags } from './chromium.ts';

/** What the page keeps of the conversation. */
const KEEP = 300;
/** What one client may send at once. */
const BURST = 40;

let browser: Browser | undefined;
let server: Server;
let problems: string[] = [];

beforeAll(async () => {
  const executablePath = await chromium();
  if (!executablePath) return;
  [browser, server] = await Promise.all([driver.launch({ executablePath, args: flags }), startServer()]);
});

beforeEach((context) => {
  problems = [];
  context.skip(!browser, 'no Chromium: the browser tests need /usr/bin/chromium');
});

afterEach(async () => {
  await Promise.all(browser?.contexts().map((context) => context.close()) ?? []);
  expect(problems).toEqual([]);
});

afterAll(async () => {
  await Promise.all([browser?.close(), server?.kill()]);
});

/** A page that is about to be opened: errors and what the content security policy refuses fail the test. */
async function tab(): Promise<Page> {
  if (!browser) throw new Error('no browser');
  const page = await browser.newPage({ viewport: { width: 800, height: 600 } });
  page.setDefaultTimeout(10_000);
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) problems.push(message.text());
  });
  return page;
}

/** The chat, live. */
async function open(url = server.url): Promise<Page> {
  const page = await tab();
  await page.goto(url);
  await status(page, 'Live');
  return page;
}

async function status(page: Page, words: string): Promise<void> {
  await page.locator('#status').getByText(words).waitFor();
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.keyboard.press('Enter');
}

function typed(page: Page): Promise<string> {
  return page.getByLabel('Message', { exact: true }).inputValue();
}

/** What was said, as the page shows it. */
function said(page: Page): Promise<string[]> {
  return page.locator('#messages .text').allTextContents();
}

async function shows(page: Page, text: string): Promise<void> {
  await page.locator('#messages').getByText(text, { exact: true }).waitFor();
}

async function notes(page: Page): Promise<string[]> {
  return page.locator('#messages .note').allTextContents();
}

/** Says `count` lines, `name 0` and on, each speaker as much as the server takes at once. They arrive in any order. */
async function chatter(name: string, count: number): Promise<void> {
  const lines = Array.from({ length: count }, (_, line) => `${name} ${line}`);
  while (lines.length > 0) await speaker(lines.splice(0, BURST));
}

async function speaker(lines: string[]): Promise<void> {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws`);
  await once(socket, 'open');
  let heard = 0;
  const done = new Promise<void>((resolve) => {
    socket.on('message', (frame) => {
      heard += String(frame).split('\n').length;
      if (heard >= lines.length) resolve();
    });
  });
  for (const line of lines) socket.send(line);
  await done;
  socket.terminate();
}

/** Where a line stands on the screen. */
async function top(page: Page, text: string): Promise<number> {
  const box = await page.locator('#messages').getByText(text, { exact: true }).boundingBox();
  return box?.y ?? Number.NaN;
}

async function scrollTo(page: Page, text: string): Promise<void> {
  await page
    .locator('#messages')
    .getByText(text, { exact: true })
    .evaluate((line) => line.scrollIntoView({ block: 'center' }));
  await frames(page);
}

/** Waits until the page has painted what it had. */
async function frames(page: Page): Promise<void> {
  await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
}

function fromBottom(page: Page): Promise<number> {
  return page.locator('#log').evaluate((log) => log.scrollHeight - log.clientHeight - log.scrollTop);
}

test('two people chat, each line shows once, and markup is text', async () => {
  const [ada, bob] = await Promise.all([open(), open()]);
  expect(await ada.getByText('Nothing said yet').isVisible()).toBe(true);
  await say(ada, '<img src=x onerror="document.title=1"><b>bold</b> &amp; \u202Eback');
  await shows(bob, '<img src=x onerror="document.title=1"><b>bold</b> &amp; \u202Eback');
  await say(bob, '  two\nlines  ');
  await shows(ada, 'two lines');
  await shows(bob, 'two lines');
  for (const page of [ada, bob]) {
    expect(await said(page)).toEqual([
      '<img src=x onerror="document.title=1"><b>bold</b> &amp; \u202Eback',
      'two lines',
    ]);
    expect(await page.locator('#outbox li').count()).toBe(0);
    expect(await page.getByText('Nothing said yet').isVisible()).toBe(false);
  }
  expect(await ada.locator('#messages .own .text').allTextContents()).toHaveLength(1);
});

test('someone who reads back is left in place, and a button leads to the new messages', async () => {
  const [ada, bob] = await Promise.all([open(), open()]);
  await chatter('old', 60);
  await shows(ada, 'old 59');
  expect(await fromBottom(ada)).toBeLessThan(4);
  await scrollTo(ada, 'old 20');
  const before = await top(ada, 'old 20');
  await say(bob, 'new one');
  await say(bob, 'new two');
  const jump = ada.getByRole('button', { name: '2 new messages' });
  await jump.waitFor();
  expect(Math.abs((await top(ada, 'old 20')) - before)).toBeLessThan(1);
  await jump.click();
  expect(await fromBottom(ada)).toBeLessThan(4);
  expect(await jump.isVisible()).toBe(false);
  await ada.keyboard.type('typed at once');
  expect(await typed(ada)).toBe('typed at once');
  await say(bob, 'new three');
  await shows(ada, 'new three');
  expect(await fromBottom(ada)).toBeLessThan(4);
});

test('lines that leave at the top do not move what is being read, nor do they leave while they are read', async () => {
  const page = await open();
  await chatter('old', KEEP);
  await shows(page, `old ${KEEP - 1}`);
  await scrollTo(page, 'old 200');
  const before = await top(page, 'old 200');
  await chatter('new', 120);
  await page.getByRole('button', { name: '120 new messages' }).waitFor();
  await frames(page);
  expect(await page.locator('#messages li').count()).toBe(KEEP);
  expect(await page.locator('#messages').getByText('old 100', { exact: true }).count()).toBe(0);
  expect(Math.abs((await top(page, 'old 200')) - before)).toBeLessThan(1);

  await chatter('newer', KEEP);
  await page.getByRole('button', { name: `${120 + KEEP} new messages` }).waitFor();
  await frames(page);
  expect(Math.abs((await top(page, 'old 200')) - before)).toBeLessThan(1);
  await page.getByRole('button', { name: 'new messages' }).click();
  expect(await page.locator('#messages li').count()).toBe(KEEP);
  expect((await said(page)).at(-1)).toBe(`newer ${KEEP - 1}`);
  expect(await fromBottom(page)).toBeLessThan(4);
});

test('a server that dies and comes back is found again, and nothing typed is lost', async () => {
  let mortal = await startServer();
  try {
    const page = await open(mortal.url);
    await say(page, 'before');
    await shows(page, 'before');
    await mortal.kill('SIGKILL');
    await status(page, 'Reconnecting');
    await say(page, 'while away');
    await page.getByText('Not sent: there is no connection. Your text stays here.').waitFor();
    expect(await typed(page)).toBe('while away');
    mortal = await startServer([], mortal.port);
    await page
      .getByRole('button', { name: 'Connect now' })
      .click({ timeout: 1_000 })
      .catch(() => undefined); // it may have connected by itself
    await status(page, 'Live');
    expect(await notes(page)).toEqual([
      expect.stringMatching(/^Connection lost at /),
      expect.stringMatching(/^Connected again at .*Messages from in between may be missing\.$/),
    ]);
    expect(await typed(page)).toBe('while away');
    await page.keyboard.press('Enter');
    await shows(page, 'while away');
    expect(await said(page)).toEqual(['before', 'while away']);

    await mortal.kill();
    await page.locator('#messages').getByText('the server is shutting down').waitFor();
  } finally {
    await mortal.kill('SIGKILL');
  }
});

test('a message that never came back is not confirmed, and can be sent again', async () => {
  const page = await tab();
  let tries = 0;
  await page.routeWebSocket(/\/ws$/, (socket) => {
    if (tries++ > 0) socket.connectToServer();
    else socket.onMessage(() => socket.close({ code: 1001 }));
  });
  await page.goto(server.url);
  await status(page, 'Live');
  await say(page, 'anyone?');
  await page.locator('#messages').getByText('A message of yours is not confirmed.').waitFor();
  await status(page, 'Live');
  expect(await said(page)).toEqual([]);
  await page.getByRole('button', { name: 'Send again' }).click();
  await shows(page, 'anyone?');
  expect(await page.locator('#outbox li').count()).toBe(0);
});

test('a close that means "stay away" is told in words, and undone by hand', async () => {
  const page = await tab();
  let tries = 0;
  await page.routeWebSocket(/\/ws$/, (socket) => {
    if (tries++ > 0) socket.connectToServer();
    else setTimeout(() => socket.close({ code: 1009 }), 50);
  });
  await page.goto(server.url);
  await status(page, 'Closed: a message was longer than the server takes');
  await page.getByRole('button', { name: 'Connect again' }).click();
  await status(page, 'Live');
  expect(tries).toBe(2);
});

test('without a network the page says so, and is back with it', async () => {
  const page = await tab();
  const routed: WebSocketRoute[] = [];
  await page.routeWebSocket(/\/ws$/, (socket) => {
    routed.push(socket);
  });
  await page.goto(server.url);
  await status(page, 'Live');
  await page.context().setOffline(true);
  await routed[0]?.close({ code: 1001 });
  await status(page, 'Offline');
  await page.context().setOffline(false);
  await status(page, 'Live');
});

test('a message that is too long is refused in words, counted in bytes', async () => {
  const page = await open();
  const input = page.getByLabel('Message', { exact: true });
  await input.fill('é'.repeat(250));
  await page.getByText('12 bytes left').waitFor();
  await input.fill('é'.repeat(257));
  await page.getByText('2 bytes over').waitFor();
  await page.keyboard.press('Enter');
  await page.getByText('Not sent: 2 bytes too long. A message may have 512.').waitFor();
  expect(await typed(page)).toBe('é'.repeat(257));
  await page.keyboard.press('Backspace');
  await page.keyboard.press('Enter');
  await shows(page, 'é'.repeat(256));
  await status(page, 'Live');
});

test('all is done with the keyboard, and an Enter that picks a word of an input method sends nothing', async () => {
  const page = await open();
  const focused = () => page.evaluate<string>('document.activeElement.id || document.activeElement.textContent');
  expect(await focused()).toBe('input');
  await page.keyboard.press('Enter');
  await page.keyboard.type('with Enter');
  for (const composing of [{ isComposing: true }, { keyCode: 229 }]) {
    await page.locator('#input').dispatchEvent('keydown', { key: 'Enter', bubbles: true, ...composing });
  }
  expect(await typed(page)).toBe('with Enter');
  await page.keyboard.press('Enter');
  await shows(page, 'with Enter');
  await page.keyboard.type('with the button');
  await page.keyboard.press('Tab');
  expect(await focused()).toBe('Send');
  await page.keyboard.press('Space');
  await shows(page, 'with the button');
  expect(await focused()).toBe('input');
  expect(await said(page)).toEqual(['with Enter', 'with the button']);

  await chatter('line', 40);
  await shows(page, 'line 39');
  await page.keyboard.press('Shift+Tab');
  expect(await focused()).toBe('log');
  await page.keyboard.press('Home');
  await expect.poll(() => page.locator('#log').evaluate((log) => log.scrollTop)).toBe(0);
  await chatter('late', 1);
  await page.getByRole('button', { name: '1 new message' }).waitFor();
  await page.keyboard.press('Tab');
  expect(await focused()).toBe('jump');
  await page.keyboard.press('Enter');
  expect(await focused()).toBe('input');
  expect(await fromBottom(page)).toBeLessThan(4);
});

test('a burst of 3,000 messages leaves the page small and quick', async () => {
  const page = await open();
  await page.evaluate(`window.longest = 0; new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
  }).observe({ type: 'longtask' })`);
  const speakers = Array.from({ length: 3_000 / BURST }, (_, name) => chatter(`${name}:`, BURST));
  await page.keyboard.type('still here', { delay: 10 });
  await Promise.all(speakers);
  await say(page, 'the end');
  await shows(page, 'the end');
  expect(await page.locator('#messages li').count()).toBe(KEEP);
  expect(await page.getByText('Earlier messages are no longer on this page.').isVisible()).toBe(true);
  expect(await fromBottom(page)).toBeLessThan(4);
  expect(await page.evaluate<number>('window.longest')).toBeLessThan(1_000);
});
