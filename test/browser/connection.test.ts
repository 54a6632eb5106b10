import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import type { Room } from 'pumphouse/client';
import { describe, expect, test } from 'vitest';
import { startServer } from '../server.ts';
import { createVariantServer } from '../workers/in-thread.ts';
import { variant } from '../workers/variants.ts';
import {
  draft,
  messageTexts,
  noteTexts,
  send,
  sendLines,
  signInAs,
  type Text,
  useChat,
  waitForMessage,
  waitForStatus,
} from './page.ts';

const chat = useChat({ publishRate: 'off' });

const unsentTexts = (page: Page) => page.locator('.unsent .text').allTextContents();

/** Returns a data folder for a server, which is removed at the end of the test. */
function dataFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-chat-'));
  chat.onTestEnd(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'data');
}

describe('a server killed while the user types and sends', () => {
  test('gets every message once and in order after it restarts', async () => {
    const folder = dataFolder();
    const flags = ['--engine', 'lmdb', '--data', folder];
    let server = await startServer(flags);
    try {
      const page = await chat.openAs('ada', { url: server.url });
      await send(page, 'before');
      await waitForMessage(page, 'before');
      await page.locator('#input').fill('typing when it ');
      await server.kill('SIGKILL');
      await waitForStatus(page, /^Reconnecting/);
      await page.keyboard.type('died');
      expect(await draft(page)).toBe('typing when it died');
      await page.keyboard.press('Enter');
      await send(page, 'and another');
      await page.locator('.unsent').getByText('Waiting to send').first().waitFor();
      expect(await unsentTexts(page)).toEqual(['typing when it died', 'and another']);
      await waitForStatus(page, /2 unsent/);
      server = await startServer(flags, server.port);
      await waitForStatus(page, 'Live');
      await waitForMessage(page, 'and another');
      expect(await messageTexts(page)).toEqual(['before', 'typing when it died', 'and another']);
      expect(await unsentTexts(page)).toEqual([]);
    } finally {
      await server.kill('SIGKILL');
    }
  });

  test('gets a message once after a reload of the page', async () => {
    const folder = dataFolder();
    const flags = ['--engine', 'lmdb', '--data', folder];
    let server = await startServer(flags);
    try {
      const page = await chat.openAs('ada', { url: server.url });
      await server.kill('SIGKILL');
      await waitForStatus(page, /^Reconnecting/);
      await send(page, 'kept');
      server = await startServer(flags, server.port);
      await page.reload();
      await waitForStatus(page, 'Live');
      await waitForMessage(page, 'kept');
      expect(await messageTexts(page)).toEqual(['kept']);
    } finally {
      await server.kill('SIGKILL');
    }
  });

  test('reports that the log was lost, and keeps the loaded messages', async () => {
    let server = await startServer();
    try {
      const page = await chat.openAs('ada', { url: server.url });
      const bob = await chat.openAs('bob', { url: server.url });
      await expect.poll(() => noteTexts(page)).toContainEqual('bob joined');
      await send(page, 'before');
      await waitForMessage(page, 'before');
      await server.kill('SIGKILL');
      server = await startServer([], server.port);
      await Promise.all([waitForStatus(page, 'Live'), waitForStatus(bob, 'Live')]);
      await page.getByRole('button', { name: '2 people online' }).waitFor();
      await expect.poll(() => noteTexts(page)).toContainEqual(expect.stringContaining('The room was reset'));
      await send(page, 'after');
      await waitForMessage(page, 'after');
      expect(await messageTexts(page)).toEqual(['before', 'after']);
      // Bob reconnected too. That is not shown as a join.
      expect((await noteTexts(page)).filter((note) => note === 'bob joined')).toHaveLength(1);
    } finally {
      await server.kill('SIGKILL');
    }
  });
});

describe('a lost connection', () => {
  test('shows a countdown to the next attempt, and a button to retry at once', async () => {
    const page = await chat.newPage();
    let attempts = 0;
    await page.routeWebSocket(/\/ws/, (socket) => {
      if (++attempts > 2) socket.connectToServer();
      else if (attempts === 2) socket.close({ code: 1013 });
      else {
        const server = socket.connectToServer();
        server.onMessage((frame) => {
          socket.send(frame);
          if (String(frame).includes('joined')) socket.send('{"t":"drain","reconnectIn":60000}');
        });
        setTimeout(() => socket.close({ code: 1001, reason: 'the server is shutting down' }), 1_000);
      }
    });
    await page.goto(`${chat.server().url}/#/counted`);
    await signInAs(page, 'ada');
    await waitForStatus(page, /^The server is shutting down\. Reconnecting in (60|59) s$/);
    await waitForStatus(page, /Reconnecting in 58 s/);
    await page.getByRole('button', { name: 'Try now' }).click();
    await waitForStatus(page, 'Live');
  });

  test('counts down to the time that a full server gave, without a button to try earlier', async () => {
    const page = await chat.newPage();
    let attempts = 0;
    await page.routeWebSocket(/\/ws/, (socket) => {
      if (attempts++ > 0) socket.connectToServer();
      else {
        socket.send('{"t":"error","code":"too_many_connections","message":"","retry":true,"retryAfter":4000}');
        socket.close({ code: 4005, reason: 'too many connections' });
      }
    });
    await page.goto(`${chat.server().url}/#/full`);
    await page.getByLabel('Display name').fill('ada');
    await page.keyboard.press('Enter');
    await waitForStatus(page, /^Too many connections\. Trying again in [43] s$/);
    await send(page, 'sent while waiting');
    await waitForStatus(page, /^Too many connections\. Trying again in [32] s · 1 unsent$/);
    expect(await page.locator('.connection button').count()).toBe(0);
    expect(await page.locator('.connection-anchor [role=status]').textContent()).toBe(
      'Too many connections. Trying again · 1 unsent',
    );
    await page.evaluate('window.dispatchEvent(new Event("online"))');
    expect(attempts).toBe(1);
    await waitForStatus(page, 'Live');
    await waitForMessage(page, 'sent while waiting');
    expect(attempts).toBe(2);
  });

  test('is not retried after a terminal close, and shows its reason', async () => {
    const page = await chat.newPage();
    let attempts = 0;
    await page.routeWebSocket(/\/ws/, (socket) => {
      if (attempts++ === 0) socket.close({ code: 4500, reason: 'another connection resumed this session' });
      else socket.connectToServer();
    });
    await page.goto(`${chat.server().url}/#/refused`);
    await page.getByLabel('Display name').fill('ada');
    await page.keyboard.press('Enter');
    await waitForStatus(page, 'Disconnected: another connection resumed this session');
    await page.getByRole('button', { name: 'Try again' }).click();
    await waitForStatus(page, 'Live');
    expect(attempts).toBe(2);
  });
});

test('tells in the console of a page that its origin is not allowed, and shows it', async () => {
  const page = await chat.newPage();
  const warnings: string[] = [];
  page.on('console', (message) => message.type() === 'warning' && warnings.push(message.text()));
  await page.routeWebSocket(/\/ws/, (socket) => socket.close({ code: 4502, reason: 'this origin is not allowed' }));
  const { url } = chat.server();
  await page.goto(`${url}/#/origin`);
  await page.getByLabel('Display name').fill('ada');
  await page.keyboard.press('Enter');
  await waitForStatus(page, 'Disconnected: this origin is not allowed');
  await page.getByRole('button', { name: 'Try again' }).click();
  await waitForStatus(page, 'Disconnected: this origin is not allowed');
  const { host, origin } = new URL(url);
  expect(warnings).toEqual([`${host} does not allow pages of the origin ${origin}: start it with --origin ${origin}`]);
});

test('queues messages while offline, and shows how many', async () => {
  const page = await chat.newPage();
  let disconnect = () => {};
  let unavailable = false;
  await page.routeWebSocket(/\/ws/, (socket) => {
    if (unavailable) {
      socket.close({ code: 1013 });
      return;
    }
    socket.connectToServer();
    disconnect = () => socket.close({ code: 1001 });
  });
  await page.goto(`${chat.server().url}/#/offline`);
  await signInAs(page, 'ada');
  await page.context().setOffline(true);
  unavailable = true;
  disconnect();
  await waitForStatus(page, /^Offline$/);
  await send(page, 'one');
  await send(page, 'two');
  await waitForStatus(page, 'Offline · 2 unsent');
  expect(await unsentTexts(page)).toEqual(['one', 'two']);
  unavailable = false;
  await page.context().setOffline(false);
  await waitForStatus(page, 'Live');
  await waitForMessage(page, 'two');
  expect((await messageTexts(page)).slice(-2)).toEqual(['one', 'two']);
});

test('renames the user after the messages under the old name are sent', async () => {
  const page = await chat.newPage();
  let unavailable = false;
  let disconnect = () => {};
  await page.routeWebSocket(/\/ws/, (socket) => {
    if (unavailable) socket.close({ code: 1013 });
    else {
      socket.connectToServer();
      disconnect = () => socket.close({ code: 1001 });
    }
  });
  await page.goto(`${chat.server().url}/#/renamed`);
  await signInAs(page, 'ada');
  unavailable = true;
  disconnect();
  await waitForStatus(page, /^Reconnecting/);
  await send(page, 'from ada');
  await page.getByRole('button', { name: 'Rename' }).click();
  await page.getByLabel('Display name').fill('Countess');
  await page.keyboard.press('Enter');
  await page.getByText('Your name will change to Countess when your unsent messages have been sent.').waitFor();
  unavailable = false;
  await page.locator('.profile-name').getByText('Countess').waitFor();
  await waitForStatus(page, 'Live');
  await send(page, 'from the countess');
  await waitForMessage(page, 'from the countess');
  expect(await page.locator('.author').allTextContents()).toEqual(['ada', 'Countess']);
});

describe('a rejection by the server', () => {
  test('shows the reason of a rejected message, which can be edited, retried or discarded, also after a reload', async () => {
    let strict = true;
    const server = await createVariantServer(variant, {
      port: 0,
      hooks: { send: (_, __, data) => !strict || !JSON.stringify(data).includes('rude') || 'be kind' },
    });
    chat.onTestEnd(() => server.stop());
    const page = await chat.openAs('ada', { url: server.url });
    await send(page, 'something rude');
    await page.getByText('Not sent: be kind').waitFor();
    await page.reload();
    await waitForStatus(page, 'Live');
    await page.getByText('Not sent: be kind').waitFor();
    await page.locator('#input').press('ArrowUp');
    expect(await draft(page)).toBe('something rude');
    await page.locator('#input').fill('something nice');
    await page.keyboard.press('Enter');
    await waitForMessage(page, 'something nice');
    await send(page, 'rude one');
    await page.getByText('Not sent: be kind').waitFor();
    strict = false;
    await page.getByRole('button', { name: 'Try again' }).click();
    await waitForMessage(page, 'rude one');
    strict = true;
    await send(page, 'rude two');
    await page.getByRole('button', { name: 'Discard' }).click();
    await expect.poll(() => page.locator('.unsent').count()).toBe(0);
    expect(await messageTexts(page)).toEqual(['something nice', 'rude one']);
  });

  test('shows the reason of a rejected join, and other rooms work', async () => {
    const server = await createVariantServer(variant, {
      port: 0,
      hooks: { join: (_, room) => room !== 'staff' || 'this room is for the staff' },
    });
    chat.onTestEnd(() => server.stop());
    const page = await chat.newPage();
    await page.goto(`${server.url}/#/staff`);
    await signInAs(page, 'ada');
    await page.getByText('You cannot join this room: this room is for the staff.').waitFor();
    await page.getByLabel('Join a room').fill('lobby');
    await page.keyboard.press('Enter');
    await send(page, 'allowed here');
    await waitForMessage(page, 'allowed here');
  });
});

describe('a page that falls behind', () => {
  /** Blocks the page during a flood of messages, until the server's metrics match `condition`. */
  async function flood(
    page: Page,
    url: string,
    condition: string,
  ): Promise<{ bob: Room<Text, unknown>; sent: Promise<void> }> {
    const bob = chat.bot('bob', 'lobby', url);
    await bob.send({ text: 'begin' });
    await waitForMessage(page, 'begin');
    const blocked = page.evaluate(`
      for (let done = false; !done; ) {
        for (const end = performance.now() + 50; performance.now() < end; );
        const request = new XMLHttpRequest();
        request.open('GET', '/metrics', false);
        request.send();
        done = ${condition}.test(request.responseText);
      }`);
    const sent = sendLines(bob, 'x'.repeat(12_000), 1_500);
    await blocked;
    return { bob, sent };
  }

  test('is evicted, shows why, and resumes without missing a message', { timeout: 60_000 }, async () => {
    const folder = dataFolder();
    const slow = await startServer([
      '--engine',
      'lmdb',
      '--data',
      folder,
      '--publish-rate',
      'off',
      '--send-buffer',
      '100',
    ]);
    chat.onTestEnd(() => slow.kill('SIGKILL'));
    const page = await chat.openAs('ada', { url: slow.url });
    const { bob, sent } = await flood(page, slow.url, '/evictions_total\\S* [1-9]/');
    await waitForStatus(page, 'Live. The page fell behind and had to reconnect.');
    await sent;
    await bob.send({ text: 'end' });
    await waitForMessage(page, 'end');
    expect(await page.locator('.missing').count()).toBe(0);
  });

  test('loads the skipped messages of a room that skips, without asking', { timeout: 60_000 }, async () => {
    const folder = dataFolder();
    const config = `${folder}.json`;
    writeFileSync(config, JSON.stringify({ rooms: { lobby: { slow: 'skip' } } }));
    const flags = ['--engine', 'lmdb', '--data', folder, '--publish-rate', 'off', '--send-buffer', '100'];
    const slow = await startServer([...flags, '--config', config]);
    chat.onTestEnd(() => slow.kill('SIGKILL'));
    const page = await chat.openAs('ada', { url: slow.url });
    const { bob, sent } = await flood(page, slow.url, '/messages_total 1501/');
    const gap = page.locator('.rows > .muted').getByText(/^Loading [\d,]+ messages…$/);
    await gap.first().waitFor({ state: 'attached' });
    await sent;
    await bob.send({ text: 'after it' });
    await waitForMessage(page, 'after it');
    const missing = async () => Number((await gap.first().textContent())?.match(/[\d,]+/)?.[0].replace(',', ''));
    const before = await missing();
    await gap.first().evaluate((row) => row.scrollIntoView({ block: 'center' }));
    await expect.poll(missing).toBeLessThan(before);
    expect(await page.locator('.missing').count()).toBe(0);
  });

  test('shows messages that the server no longer has, and does not load them', async () => {
    const page = await chat.newPage();
    await page.routeWebSocket(/\/ws/, (socket) => {
      const server = socket.connectToServer();
      server.onMessage((frame) => {
        socket.send(frame);
        if (String(frame).includes('"t":"joined"'))
          socket.send('{"t":"gap","room":"gone","from":1,"to":37,"why":"trimmed"}');
      });
    });
    await page.goto(`${chat.server().url}/#/gone`);
    await signInAs(page, 'ada');
    await page.getByText('37 messages are no longer available').waitFor();
    expect(await page.getByText(/Loading|missing/).count()).toBe(0);
  });
});
