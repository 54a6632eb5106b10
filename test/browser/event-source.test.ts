import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { startServer } from '../server.ts';
import { useChat } from './page.ts';

const chat = useChat();

/** The state of the page's `EventSource`. */
interface Watched {
  readonly texts: string[];
  readonly ids: string[];
  readonly opens: number;
  readonly joined: { recovered: boolean }[];
  readonly closes: { code: number }[];
}

/** Opens an `EventSource` in the page. */
function watch(page: Page, url: string): Promise<void> {
  return page.evaluate((url) => {
    const watched = {
      texts: [] as string[],
      ids: [] as string[],
      opens: 0,
      joined: [] as unknown[],
      closes: [] as unknown[],
    };
    const source = new EventSource(url);
    source.onopen = () => watched.opens++;
    source.onmessage = ({ data, lastEventId }) => {
      watched.texts.push(JSON.parse(data).data.text);
      watched.ids.push(lastEventId);
    };
    source.addEventListener('joined', ({ data }) => watched.joined.push(JSON.parse(data)));
    source.addEventListener('close', ({ data }) => watched.closes.push(JSON.parse(data)));
    Object.assign(window, { watched });
  }, url);
}

const watched = (page: Page): Promise<Watched> =>
  page.evaluate(() => (window as unknown as { watched: Watched }).watched);

async function post(url: string, text: string): Promise<void> {
  const { status } = await fetch(`${url}/publish`, { method: 'POST', body: text });
  expect(status).toBe(202);
}

describe('an EventSource', () => {
  test('gets every message once and in order when the server is killed and starts again', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pumphouse-events-'));
    chat.onTestEnd(() => rmSync(folder, { recursive: true, force: true }));
    const flags = ['--engine', 'lmdb', '--data', join(folder, 'data'), '--publish-rate', 'off'];
    let server = await startServer(flags);
    try {
      const page = await chat.newPage();
      await page.goto(server.url);
      await watch(page, '/api/v1/rooms/lobby/events');
      await poll(page, ({ joined }) => joined.length === 1);
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 5; i++) await post(server.url, `${round} ${i}`);
        if (round < 2) {
          if (round === 1) await poll(page, ({ texts }) => texts.length === 13);
          await server.kill('SIGKILL');
          server = await startServer(flags, server.port);
          for (let i = 5; i < 8; i++) await post(server.url, `${round} ${i}`);
          await poll(page, ({ joined }) => joined.length === round + 2);
        }
      }
      await poll(page, ({ texts }) => texts.length === 21);
      const { texts, ids, opens, joined } = await watched(page);
      const expected = [0, 1, 2].flatMap((round) =>
        Array.from({ length: round < 2 ? 8 : 5 }, (_, i) => `${round} ${i}`),
      );
      expect(texts).toEqual(expected);
      expect(ids.map((id) => Number(id.split(':')[1]))).toEqual(expected.map((_, i) => i + 1));
      expect(joined.every(({ recovered }) => recovered)).toBe(true);
      expect(opens).toBe(3);
    } finally {
      await server.kill('SIGKILL');
    }
  }, 60_000);

  test('comes back after a drain when it was told to', async () => {
    let server = await startServer([]);
    try {
      const page = await chat.newPage();
      await page.goto(server.url);
      await watch(page, '/api/v1/rooms/lobby/events');
      await poll(page, ({ joined }) => joined.length === 1);
      await server.kill('SIGTERM');
      server = await startServer([], server.port);
      await poll(page, ({ joined }) => joined.length === 2);
      expect((await watched(page)).closes).toEqual([{ code: 1001, reason: 'the server is shutting down' }]);
    } finally {
      await server.kill('SIGKILL');
    }
  }, 60_000);

  test('works across origins where the origin is allowed, and only there', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pumphouse-page-'));
    chat.onTestEnd(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'index.html'), '<!doctype html><title>a page</title>');
    const host = await chat.serve({ web: folder });
    const [open, closed] = await Promise.all([chat.serve({ origin: [host.url] }), chat.serve({})]);
    const page = await chat.newPage();
    await page.goto(host.url);
    await watch(page, `${open.url}/api/v1/rooms/lobby/events`);
    await poll(page, ({ joined }) => joined.length === 1);
    const state = await page.evaluate(
      (url) =>
        new Promise((resolve) => {
          const source = new EventSource(url);
          source.onerror = () => resolve(source.readyState);
        }),
      `${closed.url}/api/v1/rooms/lobby/events`,
    );
    expect(state).toBe(2);
  }, 60_000);
});

/** Waits until the page's `EventSource` has seen something. */
async function poll(page: Page, holds: (state: Watched) => boolean): Promise<void> {
  const end = Date.now() + 15_000;
  while (!holds(await watched(page))) {
    if (Date.now() > end) throw new Error(`timed out: ${JSON.stringify(await watched(page))}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
