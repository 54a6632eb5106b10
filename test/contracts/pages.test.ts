import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Browser, Page } from 'playwright-core';
import type { ServerOptions } from 'pumphouse';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { chromium, NO_CHROMIUM } from '../browser/chromium.ts';
import { run, serving } from '../cli/command.ts';
import { createVariantServer, type VariantServer as Server } from '../workers/in-thread.ts';
import { variant } from '../workers/variants.ts';

// The front ends of the six systems: each page behaves like the original, in a real browser.

let browser: Browser | undefined;
let folder: string;
const servers: Server[] = [];
const alerts: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pumphouse-pages-'));
  await run(['gen-cert', '--out', folder]);
  browser = await chromium();
});
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach((context) => context.skip(!browser, NO_CHROMIUM));
afterEach(async () => {
  await Promise.all(browser?.contexts().map((context) => context.close()) ?? []);
  await Promise.all(servers.splice(0).map((server) => server.stop()));
  expect(alerts.splice(0)).toEqual([]);
});

type WireName = Exclude<ServerOptions['wire'], undefined>;

async function serve(wire: WireName, page: string, options: ServerOptions = {}): Promise<Server> {
  const web = `test/contracts/pages/${page}`;
  const server = await createVariantServer(variant, { port: 0, drainWindow: 0, wire, web, ...options });
  servers.push(server);
  return server;
}

async function open(url: string): Promise<Page> {
  const page = await (browser as Browser).newPage({ ignoreHTTPSErrors: true });
  page.setDefaultTimeout(8_000);
  page.on('dialog', (dialog) => {
    alerts.push(dialog.message());
    void dialog.dismiss();
  });
  page.on('pageerror', (error) => alerts.push(String(error)));
  await page.addInitScript(recordSockets);
  await page.goto(url);
  await page.waitForFunction(() => sockets.every(({ readyState }) => readyState !== WebSocket.CONNECTING));
  return page;
}

// The WebSockets of the page that the function below runs in.
declare const sockets: WebSocket[];

/** Keeps each WebSocket of a page in `sockets`: the pages send at once, connected or not. */
function recordSockets() {
  const opened: WebSocket[] = [];
  Object.assign(globalThis, {
    sockets: opened,
    WebSocket: class extends WebSocket {
      constructor(...args: ConstructorParameters<typeof WebSocket>) {
        super(...args);
        opened.push(this);
      }
    },
  });
}

const shows = (page: Page, text: string) => page.locator('#log').getByText(text, { exact: true }).waitFor();
const lines = (page: Page) => page.locator('#log > *').allInnerTexts();

async function say(page: Page, text: string): Promise<void> {
  await page.locator('#text').fill(text);
  await page.locator('#text').press('Enter');
}

test.each(['gorilla', 'auto'] as const)('gorilla’s page sends and receives (wire %s)', async (wire) => {
  const { url } = await serve(wire, 'gorilla');
  const [one, two] = [await open(url), await open(url)];
  await say(one, '  hello  ');
  await shows(two, 'hello');
  await say(two, 'hello yourself');
  await shows(one, 'hello yourself');
  expect(await lines(one)).toEqual(['hello', 'hello yourself']);
});

test.each(['coder', 'auto'] as const)(
  'coder’s page sends and receives, and reconnects after a restart (wire %s)',
  async (wire) => {
    const { url, port, stop } = await serve(wire, 'coder');
    const [one, two] = [await open(url), await open(url)];
    await Promise.all([shows(one, 'connected'), shows(two, 'connected')]);
    await say(one, 'hello');
    await shows(two, 'hello');
    await stop();
    await shows(two, 'closed 1012 the server restarts');
    await serve(wire, 'coder', { port });
    await two.locator('#log').getByText('connected').nth(1).waitFor();
    await say(two, 'back again');
    await shows(two, 'back again');
    expect((await lines(two)).some((line) => line.startsWith('published with'))).toBe(false);
  },
);

test.each(['go-websockets', 'auto'] as const)(
  'go-websockets’ page shows messages, empty ones included, and joins and leaves (wire %s)',
  async (wire) => {
    const { url } = await serve(wire, 'go-websockets');
    const one = await open(url);
    await one
      .locator('.WELCOME_MESSAGE')
      .getByText(/Welcome new user: [a-zA-Z]{4}$/)
      .waitFor();
    const two = await open(url);
    await one.locator('.WELCOME_MESSAGE').nth(1).waitFor();
    await two.locator('#text').fill('hello');
    await two.locator('#send').click();
    await one
      .locator('.MESSAGE')
      .getByText(/^\d\d:\d\d:\d\d hello$/)
      .waitFor();
    await two.locator('#send').click();
    await one.locator('.MESSAGE').nth(1).waitFor();
    await two.close();
    await one
      .locator('.LEAVE_MESSAGE')
      .getByText(/User Logged out: [a-zA-Z]{4}$/)
      .waitFor();
  },
);

test.for(['spread', 'auto'] as const)(
  'spread’s page sends and receives at its fixed address (wire %s)',
  async (wire, context) => {
    const server = await serve(wire, 'spread', { host: 'localhost', port: 8000 }).catch((error) => {
      if (error.code !== 'EADDRINUSE') throw error;
      return undefined;
    });
    context.skip(!server, 'port 8000 is in use, and the page connects to no other');
    const other = wire === 'spread' ? 'any/path' : '';
    const [one, two] = [await open('http://localhost:8000/'), await open(`http://localhost:8000/${other}`)];
    for (const [page, name] of [
      [one, ' ada '],
      [two, 'bob'],
    ] as const)
      await page.locator('#who').fill(name);
    await say(one, 'hello');
    await shows(two, 'ada: hello');
    await say(two, 'hi');
    await shows(one, 'bob: hi');
  },
);

test.each(['events', 'auto'] as const)(
  'the page of typed events signs in over TLS, sends and receives, and changes rooms (wire %s)',
  async (wire) => {
    const tls = { tlsCert: join(folder, 'cert.pem'), tlsKey: join(folder, 'key.pem') };
    const { port } = await serve(wire, 'events', tls);
    const pages: Page[] = [];
    for (const name of ['ada', 'bob']) {
      const page = await open(`https://localhost:${port}/`);
      await page.locator('#username').fill(name);
      await page.locator('#password').fill('any');
      await page.locator('#password').press('Enter');
      await shows(page, 'connected');
      pages.push(page);
    }
    const [ada, bob] = pages as [Page, Page];
    const receives = (page: Page, text: string) =>
      page
        .locator('#log')
        .getByText(new RegExp(` ${text}$`))
        .waitFor();
    await say(ada, 'hello');
    await receives(bob, 'ada: hello');
    await ada.locator('#room').fill('den');
    await ada.locator('#room').press('Enter');
    await say(ada, 'anyone?');
    await receives(ada, 'ada: anyone\\?');
    await ada.locator('#room').fill('general');
    await ada.locator('#room').press('Enter');
    await say(ada, 'back');
    await receives(bob, 'ada: back');
    expect((await lines(bob)).length).toBe(3);
  },
);

test.each(['blueprints', 'auto'] as const)(
  'the chapter’s page is filled in with its host, and sends and receives (wire %s)',
  async (wire) => {
    const { url } = await serve(wire, 'blueprints');
    const [one, two] = [await open(url), await open(wire === 'auto' ? url : `${url}/any/path`)];
    await one.locator('#text').fill('two\nlines <b>');
    await one.getByRole('button').click();
    await shows(two, 'two lines <b>');
    expect(await two.locator('#log > li').first().textContent()).toBe('two\nlines <b>');
    await Promise.all([one, two].map((page) => page.context().close())); // before the shutdown, which it would alert
  },
);

test('gorilla’s page may be called home.html, as in its example', async () => {
  const web = join(folder, 'home');
  mkdirSync(web, { recursive: true });
  copyFileSync('test/contracts/pages/gorilla/index.html', join(web, 'home.html'));
  const { url } = await serve('auto', 'gorilla', { web });
  const page = await open(url);
  await say(page, 'hello');
  await shows(page, 'hello');
  await page.close();
});

const NEED_OF_SPREAD = 'connects only to ws://localhost:8000; serve it with --port 8000 and open http://localhost:8000';

test.each([
  ['gorilla', undefined],
  ['coder', undefined],
  ['go-websockets', undefined],
  ['blueprints', undefined],
  ['spread', NEED_OF_SPREAD],
  ['events', 'connects with wss://; it needs --tls-cert and --tls-key, or a proxy with TLS in front'],
] as const)('a server with the page of %s and no other setting logs what it needs: %s', async (name, need) => {
  const web = `test/contracts/pages/${name}`;
  const lines: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line) => lines.push(line) });
  servers.push(await createVariantServer(variant, { port: 0, web, log }));
  const warnings = lines.map((line) => JSON.parse(line).msg);
  expect(warnings).toEqual(need === undefined ? [] : [`the page in "${web}" ${need}`]);
});

test('serve --web logs what its page needs', async () => {
  const web = 'test/contracts/pages/spread';
  const { running } = await serving(['--web', web]);
  const warnings = running.log.filter(({ level }) => level === 'warn' || level === 40);
  expect(warnings.map(({ msg }) => msg)).toEqual([`the page in "${web}" ${NEED_OF_SPREAD}`]);
  await running.end();
});
