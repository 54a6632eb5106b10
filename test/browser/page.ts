import { type Browser, type BrowserContextOptions, chromium as driver, type Page } from 'playwright-core';
import { connect, type Room } from 'pumphouse/client';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { WebSocket } from 'ws';
import { type Server, startServer } from '../server.ts';
import { chromium, flags } from './chromium.ts';

export interface Text {
  readonly text: string;
}

/** A desktop's window; a phone's is given by the tests that need one. */
const WINDOW = { viewport: { width: 900, height: 640 } };

/** A browser and a server for the tests of one file. Errors in a page, and what its security policy refuses, fail the test. */
export function useChat(serverFlags: readonly string[] = []) {
  let browser: Browser | undefined;
  let server: Server | undefined;
  let problems: string[] = [];
  const ends: (() => unknown)[] = [];

  beforeAll(async () => {
    const executablePath = await chromium();
    if (!executablePath) return;
    [browser, server] = await Promise.all([driver.launch({ executablePath, args: flags }), startServer(serverFlags)]);
  });
  beforeEach((context) => {
    problems = [];
    context.skip(!browser, 'no Chromium: the browser tests need /usr/bin/chromium');
  });
  afterEach(async () => {
    for (const end of ends.splice(0)) await end();
    await Promise.all(browser?.contexts().map((context) => context.close()) ?? []);
    expect(problems).toEqual([]);
  });
  afterAll(async () => {
    await Promise.all([browser?.close(), server?.kill('SIGKILL')]);
  });

  const running = (): Server => server as Server;

  /** A page of a new browser, or of one that is open already, that is about to be opened. */
  async function tab(options: BrowserContextOptions | Page = {}): Promise<Page> {
    const context =
      'context' in options ? options.context() : await (browser as Browser).newContext({ ...WINDOW, ...options });
    context.setDefaultTimeout(10_000);
    const page = await context.newPage();
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => {
      if (message.text().includes('Content Security Policy')) problems.push(message.text());
    });
    return page;
  }

  return {
    server: running,
    tab,
    /** Runs at the end of the test. */
    after(end: () => unknown): void {
      ends.push(end);
    },
    /** Someone who is in the chat, and was here before: the page knows the name. */
    async person(name: string, options: BrowserContextOptions & { room?: string; url?: string } = {}): Promise<Page> {
      const { room = 'lobby', url = running().url, ...rest } = options;
      const page = await tab(rest);
      const known = JSON.stringify(JSON.stringify({ name }));
      await page.addInitScript(`if (location.protocol !== 'about:') localStorage['pumphouse.chat'] ??= ${known}`);
      await page.goto(`${url}/#/${encodeURIComponent(room)}`);
      await stands(page, 'Live');
      await page.getByRole('button', { name: /^[1-9]\d* (person |people )?here$/ }).waitFor();
      return page;
    },
    /** A program in a room, which says what it is told to. */
    program(name: string, room: string, url = running().url): Room<Text, unknown> {
      const hub = connect(url, { user: name, WebSocket });
      ends.push(() => hub.close());
      return hub.join<Text>(room);
    },
  };
}

/** Gives a name to a page that asks for one. */
export async function enter(page: Page, name: string): Promise<void> {
  await page.getByLabel('What should others call you?').fill(name);
  await page.keyboard.press('Enter');
  await stands(page, 'Live');
}

/** Waits until the connection stands so. */
export async function stands(page: Page, words: string | RegExp): Promise<void> {
  await page.locator('.connection p > :first-child').getByText(words).waitFor();
}

export async function say(page: Page, text: string): Promise<void> {
  await page.locator('#input').fill(text);
  await page.keyboard.press('Enter');
}

export async function shows(page: Page, text: string): Promise<void> {
  await page.locator('.rows:not(.unsent) .text').getByText(text, { exact: true }).waitFor();
}

/** What was said, as the page shows it. */
export function said(page: Page): Promise<string[]> {
  return page.locator('.rows:not(.unsent) .text').allTextContents();
}

/** What the page has to say itself. */
export function notes(page: Page): Promise<string[]> {
  return page.locator('.rows > .quiet').allTextContents();
}

export function draft(page: Page): Promise<string> {
  return page.locator('#input').inputValue();
}

/** Says many lines, `word 0` and on, one after the other. */
export async function chatter(room: Room<Text, unknown>, word: string, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, line) => room.send({ text: `${word} ${line}` })));
}

/** Where a line stands on the screen. */
export async function top(page: Page, text: string): Promise<number> {
  return page
    .locator('.text')
    .getByText(text, { exact: true })
    .evaluate((line) => line.getBoundingClientRect().top);
}

export async function scrollTo(page: Page, text: string): Promise<void> {
  await page
    .locator('.text')
    .getByText(text, { exact: true })
    .evaluate((line) => line.scrollIntoView({ block: 'center' }));
  await frames(page);
}

/** Waits until the page has painted what it had. */
export async function frames(page: Page): Promise<void> {
  await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
}

export function fromBottom(page: Page): Promise<number> {
  return page.locator('.log').evaluate((log) => log.scrollHeight - log.clientHeight - log.scrollTop);
}
