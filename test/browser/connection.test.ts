import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import type { Room } from 'pumphouse/client';
import { describe, expect, test } from 'vitest';
import { createServer } from '../../src/index.ts';
import { startServer } from '../server.ts';
import { chatter, draft, enter, notes, said, say, shows, stands, type Text, useChat } from './page.ts';

const chat = useChat(['--publish-rate', 'off']);

const waiting = (page: Page) => page.locator('.unsent .text').allTextContents();

/** Where a server keeps its rooms, until the end of the test. */
function dataFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-chat-'));
  chat.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'data');
}

describe('a server that is killed while someone types and sends', () => {
  test('costs nothing: what was sent waits, and is said once and in order when it is back', async () => {
    const folder = dataFolder();
    const flags = ['--engine', 'lmdb', '--data', folder];
    let mortal = await startServer(flags);
    try {
      const page = await chat.person('ada', { url: mortal.url });
      await say(page, 'before');
      await shows(page, 'before');
      await page.locator('#input').fill('typing when it ');
      await mortal.kill('SIGKILL');
      await stands(page, /^Reconnecting/);
      await page.keyboard.type('died');
      expect(await draft(page)).toBe('typing when it died');
      await page.keyboard.press('Enter');
      await say(page, 'and another');
      await page.locator('.unsent').getByText('Waiting').first().waitFor();
      expect(await waiting(page)).toEqual(['typing when it died', 'and another']);
      await stands(page, /2 waiting/);
      mortal = await startServer(flags, mortal.port);
      await stands(page, 'Live');
      await shows(page, 'and another');
      expect(await said(page)).toEqual(['before', 'typing when it died', 'and another']);
      expect(await waiting(page)).toEqual([]);
    } finally {
      await mortal.kill('SIGKILL');
    }
  });

  test('and a page that is reloaded meanwhile: it is said once all the same', async () => {
    const folder = dataFolder();
    const flags = ['--engine', 'lmdb', '--data', folder];
    let mortal = await startServer(flags);
    try {
      const page = await chat.person('ada', { url: mortal.url });
      await mortal.kill('SIGKILL');
      await stands(page, /^Reconnecting/);
      await say(page, 'kept');
      mortal = await startServer(flags, mortal.port);
      await page.reload();
      await stands(page, 'Live');
      await shows(page, 'kept');
      expect(await said(page)).toEqual(['kept']);
    } finally {
      await mortal.kill('SIGKILL');
    }
  });

  test('a room whose log is lost says so, and what was read stays', async () => {
    let mortal = await startServer();
    try {
      const page = await chat.person('ada', { url: mortal.url });
      const bob = await chat.person('bob', { url: mortal.url });
      await expect.poll(() => notes(page)).toContainEqual('bob joined');
      await say(page, 'before');
      await shows(page, 'before');
      await mortal.kill('SIGKILL');
      mortal = await startServer([], mortal.port);
      await Promise.all([stands(page, 'Live'), stands(bob, 'Live')]);
      await page.getByRole('button', { name: '2 people here' }).waitFor();
      await expect.poll(() => notes(page)).toContainEqual(expect.stringContaining('The room begins anew here'));
      await say(page, 'after');
      await shows(page, 'after');
      expect(await said(page)).toEqual(['before', 'after']);
      // Who lost the connection too, and came back, has not come.
      expect((await notes(page)).filter((note) => note === 'bob joined')).toHaveLength(1);
    } finally {
      await mortal.kill('SIGKILL');
    }
  });
});

describe('a connection that is lost', () => {
  test('is counted down to the next try, which a button makes now', async () => {
    const page = await chat.tab();
    let tries = 0;
    await page.routeWebSocket(/\/ws/, (socket) => {
      if (++tries > 2) socket.connectToServer();
      else if (tries === 2) socket.close({ code: 1013 });
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
    await enter(page, 'ada');
    await stands(page, /^The server is shutting down\. Reconnecting in (60|59) s$/);
    await stands(page, /Reconnecting in 58 s/);
    await page.getByRole('button', { name: 'Now' }).click();
    await stands(page, 'Live');
  });

  test('that the server does not want any more is not tried again, and told why', async () => {
    const page = await chat.tab();
    let tries = 0;
    await page.routeWebSocket(/\/ws/, (socket) => {
      if (tries++ === 0) socket.close({ code: 4500, reason: 'another connection goes on with this session' });
      else socket.connectToServer();
    });
    await page.goto(`${chat.server().url}/#/refused`);
    await page.getByLabel('What should others call you?').fill('ada');
    await page.keyboard.press('Enter');
    await stands(page, 'Refused: another connection goes on with this session');
    await page.getByRole('button', { name: 'Try again' }).click();
    await stands(page, 'Live');
    expect(tries).toBe(2);
  });
});

test('without a network what is said waits for it, and the page says how much', async () => {
  const page = await chat.tab();
  let cut = () => {};
  let dead = false;
  await page.routeWebSocket(/\/ws/, (socket) => {
    if (dead) {
      socket.close({ code: 1013 });
      return;
    }
    socket.connectToServer();
    cut = () => socket.close({ code: 1001 });
  });
  await page.goto(`${chat.server().url}/#/offline`);
  await enter(page, 'ada');
  await page.context().setOffline(true);
  dead = true;
  cut();
  await stands(page, /^Offline$/);
  await say(page, 'one');
  await say(page, 'two');
  await stands(page, 'Offline, 2 waiting');
  expect(await waiting(page)).toEqual(['one', 'two']);
  dead = false;
  await page.context().setOffline(false);
  await stands(page, 'Live');
  await shows(page, 'two');
  expect((await said(page)).slice(-2)).toEqual(['one', 'two']);
});

test('another name waits until what was said under the old one is sent', async () => {
  const page = await chat.tab();
  let dead = false;
  let cut = () => {};
  await page.routeWebSocket(/\/ws/, (socket) => {
    if (dead) socket.close({ code: 1013 });
    else {
      socket.connectToServer();
      cut = () => socket.close({ code: 1001 });
    }
  });
  await page.goto(`${chat.server().url}/#/renamed`);
  await enter(page, 'ada');
  dead = true;
  cut();
  await stands(page, /^Reconnecting/);
  await say(page, 'as ada');
  await page.getByRole('button', { name: 'Rename' }).click();
  await page.getByLabel('Your name').fill('Countess');
  await page.keyboard.press('Enter');
  await page.getByText('You are Countess as soon as what waits is sent.').waitFor();
  dead = false;
  await page.locator('.who').getByText('Countess').waitFor();
  await stands(page, 'Live');
  await say(page, 'as the countess');
  await shows(page, 'as the countess');
  expect(await page.locator('.author').allTextContents()).toEqual(['ada', 'Countess']);
});

describe('what the server does not take', () => {
  test('is told with the reason, survives a reload, and can be changed, tried again or discarded', async () => {
    let strict = true;
    const server = await createServer({
      port: 0,
      hooks: { send: (_, __, data) => !strict || !JSON.stringify(data).includes('rude') || 'be kind' },
    });
    chat.after(() => server.stop());
    const page = await chat.person('ada', { url: server.url });
    await say(page, 'something rude');
    await page.getByText('Not sent: be kind').waitFor();
    await page.reload();
    await stands(page, 'Live');
    await page.getByText('Not sent: be kind').waitFor();
    await page.locator('#input').press('ArrowUp');
    expect(await draft(page)).toBe('something rude');
    await page.locator('#input').fill('something nice');
    await page.keyboard.press('Enter');
    await shows(page, 'something nice');
    await say(page, 'rude one');
    await page.getByText('Not sent: be kind').waitFor();
    strict = false;
    await page.getByRole('button', { name: 'Try again' }).click();
    await shows(page, 'rude one');
    strict = true;
    await say(page, 'rude two');
    await page.getByRole('button', { name: 'Discard' }).click();
    await expect.poll(() => page.locator('.unsent').count()).toBe(0);
    expect(await said(page)).toEqual(['something nice', 'rude one']);
  });

  test('a room that one may not join says why, and others work', async () => {
    const server = await createServer({
      port: 0,
      hooks: { join: (_, room) => room !== 'staff' || 'this room is for the staff' },
    });
    chat.after(() => server.stop());
    const page = await chat.tab();
    await page.goto(`${server.url}/#/staff`);
    await enter(page, 'ada');
    await page.getByText('You are not in this room: this room is for the staff.').waitFor();
    await page.getByLabel('Join a room').fill('lobby');
    await page.keyboard.press('Enter');
    await say(page, 'here I may');
    await shows(page, 'here I may');
  });
});

describe('a page that reads too slowly', () => {
  /** Keeps the page from reading until the server tells by its metrics that enough has happened. */
  async function flood(
    page: Page,
    url: string,
    enough: string,
  ): Promise<{ bob: Room<Text, unknown>; said: Promise<void> }> {
    const bob = chat.program('bob', 'lobby', url);
    await bob.send({ text: 'begin' });
    await shows(page, 'begin');
    const held = page.evaluate(`
      for (let over = false; !over; ) {
        for (const end = performance.now() + 50; performance.now() < end; );
        const asked = new XMLHttpRequest();
        asked.open('GET', '/metrics', false);
        asked.send();
        over = ${enough}.test(asked.responseText);
      }`);
    const said = chatter(bob, 'x'.repeat(12_000), 1_500);
    await held;
    return { bob, said };
  }

  test('is cut off, told so, and goes on where it was: nothing is missing', { timeout: 60_000 }, async () => {
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
    chat.after(() => slow.kill('SIGKILL'));
    const page = await chat.person('ada', { url: slow.url });
    const { bob, said } = await flood(page, slow.url, '/evictions_total\\S* [1-9]/');
    await stands(page, 'Live again: this page read too slowly and was cut off');
    await said;
    await bob.send({ text: 'end' });
    await shows(page, 'end');
    expect(await page.locator('.missing').count()).toBe(0);
  });

  test('in a room that skips for the slow, what is missing is named and can be loaded', {
    timeout: 60_000,
  }, async () => {
    const folder = dataFolder();
    const config = `${folder}.json`;
    writeFileSync(config, JSON.stringify({ rooms: { lobby: { slow: 'skip' } } }));
    const flags = ['--engine', 'lmdb', '--data', folder, '--publish-rate', 'off', '--send-buffer', '100'];
    const slow = await startServer([...flags, '--config', config]);
    chat.after(() => slow.kill('SIGKILL'));
    const page = await chat.person('ada', { url: slow.url });
    const { bob, said } = await flood(page, slow.url, '/messages_total 1501/');
    const gap = page.locator('.missing').first();
    await gap.waitFor({ state: 'attached' });
    await said;
    await bob.send({ text: 'after it' });
    await shows(page, 'after it');
    const before = Number((await gap.textContent())?.match(/[\d,]+/)?.[0].replace(',', ''));
    expect(before).toBeGreaterThan(100);
    await gap.getByRole('button', { name: 'Load them' }).click();
    await expect
      .poll(async () => Number((await gap.textContent())?.match(/[\d,]+/)?.[0].replace(',', '')))
      .toBeLessThan(before);
  });

  test('what the server does not have any more is named, and cannot be loaded', async () => {
    const page = await chat.tab();
    await page.routeWebSocket(/\/ws/, (socket) => {
      const server = socket.connectToServer();
      server.onMessage((frame) => {
        socket.send(frame);
        if (String(frame).includes('"t":"joined"'))
          socket.send('{"t":"gap","room":"gone","from":1,"to":37,"why":"trimmed"}');
      });
    });
    await page.goto(`${chat.server().url}/#/gone`);
    await enter(page, 'ada');
    await page.getByText('37 messages are missing').waitFor();
    await page.getByRole('button', { name: 'Load them' }).click();
    await page.getByText('37 messages are no longer kept').waitFor();
    expect(await page.getByRole('button', { name: 'Load them' }).count()).toBe(0);
  });
});
