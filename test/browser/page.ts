import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import type { ServerOptions } from 'pumphouse';
import { connect, type Room } from 'pumphouse/client';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { WebSocket } from 'ws';
import { startServer } from '../server.ts';
import { createVariantServer } from '../workers/in-thread.ts';
import { variant } from '../workers/variants.ts';
import { chromium, NO_CHROMIUM } from './chromium.ts';

export interface Text {
  readonly text: string;
}

/** The window of a desktop. Tests of phones pass their own. */
const DESKTOP = { viewport: { width: 900, height: 640 } };

interface PageOptions extends BrowserContextOptions {
  /**
   * `true` for all of Chromium, in place of its headless shell, at three times the CPU time.
   * @default false
   */
  readonly isWhole?: boolean;
}

/** A server of the tests of one file. */
interface ChatServer {
  readonly port: number;
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts a server: with flags of the command in a process of its own, else in this one. */
async function start(server: readonly string[] | ServerOptions): Promise<ChatServer> {
  if (!isFlags(server)) return createVariantServer(variant, { port: 0, host: '127.0.0.1', drainWindow: 0, ...server });
  const { port, url, kill } = await startServer(server);
  return { port, url, stop: () => kill('SIGKILL') };
}

const isFlags = (server: readonly string[] | ServerOptions): server is readonly string[] => Array.isArray(server);

/**
 * Starts a browser if there is none yet, and a server if one is described, for the tests of one
 * file. Uncaught errors and violations of the content security policy fail the test.
 *
 * @param options options of a server in this process, which starts at once; or flags of the
 * command, for a server in its own process.
 */
export function useChat(options?: readonly string[] | ServerOptions) {
  let browser: Browser | undefined;
  let server: ChatServer | undefined;
  let errors: string[] = [];
  const contexts: BrowserContext[] = [];
  const cleanups: (() => unknown)[] = [];

  beforeAll(async () => {
    browser = await chromium();
    if (browser && options) server = await start(options);
  });
  beforeEach(async (context) => {
    errors = [];
    context.skip(!browser, NO_CHROMIUM);
    if (!server || !options || !context.task.result?.retryCount) return;
    await server.stop(); // the first attempt has left messages in its rooms
    server = await start(options);
  });
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0)) await cleanup();
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    expect(errors).toEqual([]);
  });
  afterAll(async () => {
    await server?.stop();
  });

  const startedServer = (): ChatServer => server as ChatServer;

  async function newContext({ isWhole, ...given }: PageOptions): Promise<BrowserContext> {
    const context = await ((await chromium(isWhole)) as Browser).newContext({ ...DESKTOP, ...given });
    contexts.push(context);
    // With a service worker, requests would pass no route of a test.
    if (given.serviceWorkers !== 'allow') await context.addInitScript('delete Navigator.prototype.serviceWorker');
    context.setDefaultTimeout(10_000);
    return context;
  }

  /**
   * Opens a blank page: in a new browser context, or in the context of a page. Without the option
   * `serviceWorkers: 'allow'` it has no service worker, whose requests pass no route of a test.
   */
  async function newPage(options: PageOptions | Page = {}): Promise<Page> {
    const context = 'context' in options ? options.context() : await newContext(options);
    const page = await context.newPage();
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('console', (message) => {
      if (message.text().includes('Content Security Policy')) errors.push(message.text());
    });
    return page;
  }

  return {
    server: startedServer,
    newPage,
    /** Starts a server in this process for the rest of the test. */
    async serve(options: ServerOptions): Promise<ChatServer> {
      const started = await start(options);
      cleanups.push(() => started.stop());
      return started;
    },
    /** Runs `cleanup` at the end of the test. */
    onTestEnd(cleanup: () => unknown): void {
      cleanups.push(cleanup);
    },
    /**
     * Opens the chat as a returning user, whose name is stored, and waits until the room is joined.
     */
    async openAs(name: string, options: PageOptions & { room?: string; url?: string } = {}): Promise<Page> {
      const { room = 'lobby', url = startedServer().url, ...rest } = options;
      const page = await newPage(rest);
      const stored = JSON.stringify(JSON.stringify({ name }));
      await page.addInitScript(`if (location.protocol !== 'about:') localStorage['pumphouse.chat'] ??= ${stored}`);
      await page.goto(`${url}/#/${encodeURIComponent(room)}`);
      await waitForStatus(page, 'Live');
      await page.getByRole('button', { name: /^[1-9]\d* (person |people )?online$/ }).waitFor();
      return page;
    },
    /** Signs in with the password `secret`, each time with another browser. */
    async signIn(url: string, name: string, room: string): Promise<Page> {
      const page = await newPage();
      await page.goto(`${url}/#/${room}`);
      await page.getByLabel('Username').fill(name);
      await page.getByLabel('Password').fill('secret');
      await page.keyboard.press('Enter');
      await waitForStatus(page, 'Live');
      await page.getByRole('heading', { name: room }).waitFor();
      return page;
    },
    /** Joins a room with the client library. */
    bot(name: string, room: string, url = startedServer().url): Room<Text, unknown> {
      const hub = connect(url, { user: name, WebSocket });
      cleanups.push(() => hub.close());
      return hub.join<Text>(room);
    },
  };
}

/** Enters a name on the welcome page. */
export async function signInAs(page: Page, name: string): Promise<void> {
  await page.getByLabel('Display name').fill(name);
  await page.keyboard.press('Enter');
  await waitForStatus(page, 'Live');
}

/**
 * Waits until the connection status contains a text. The status `Live` is not visible, and the
 * others are.
 */
export async function waitForStatus(page: Page, status: string | RegExp): Promise<void> {
  if (status !== 'Live') await page.locator('.connection p').getByText(status).waitFor();
  else await page.locator('.connection-anchor [role=status]').getByText(/^Live/).waitFor();
}

/** Leaves the room on the screen. */
export async function leaveRoom(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Room menu' }).click();
  await page.getByRole('button', { name: 'Leave room' }).click();
}

export async function send(page: Page, text: string): Promise<void> {
  await page.locator('#input').fill(text);
  await page.keyboard.press('Enter');
}

/** Runs an action of the message with a text, from the buttons beside it. */
export async function actOn(page: Page, text: string, action: string): Promise<void> {
  const row = page.locator('.rows:not(.unsent) > .message', { hasText: text }).last();
  await row.hover();
  await row
    .getByRole('group', { name: /^Actions/ })
    .getByRole('button', { name: action })
    .click();
}

/** Waits until the log contains a message. */
export async function waitForMessage(page: Page, text: string): Promise<void> {
  await page.locator('.rows:not(.unsent) .text').getByText(text, { exact: true }).waitFor();
}

/** Returns the texts of the messages in the log. */
export function messageTexts(page: Page): Promise<string[]> {
  return page.locator('.rows:not(.unsent) .text').allTextContents();
}

/** Returns the texts of the presence changes and notes in the log. */
export function noteTexts(page: Page): Promise<string[]> {
  return page.locator('.rows > .muted').allTextContents();
}

export function draft(page: Page): Promise<string> {
  return page.locator('#input').inputValue();
}

/** Sends the messages `word 0` to `word (count - 1)`, in order. */
export async function sendLines(room: Room<Text, unknown>, word: string, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, line) => room.send({ text: `${word} ${line}` })));
}

/** Returns the position of a message on the screen, in pixels from the top. */
export async function topOf(page: Page, text: string): Promise<number> {
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
  await waitForPaint(page);
}

/** Waits until the page has painted its pending updates. */
export async function waitForPaint(page: Page): Promise<void> {
  await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
}

export function distanceFromEnd(page: Page): Promise<number> {
  return page.locator('.log').evaluate((log) => log.scrollHeight - log.clientHeight - log.scrollTop);
}
