import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { Users } from '../../src/auth/users.ts';
import { startServer } from '../server.ts';
import { messageTexts, send, useChat, waitForMessage, waitForStatus } from './page.ts';

const chat = useChat();

const unreadOf = (page: Page, room: string) => page.getByRole('link', { name: new RegExp(`^${room}.*unread`) });

test('what a user has read on one device is read on the others, also after a restart', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-devices-'));
  const users = new Users(join(folder, 'users.json'));
  for (const name of ['ada', 'bob']) await users.set(name, 'secret');
  const data = join(folder, 'data');
  const flags = [
    '--auth',
    'otp',
    '--users',
    join(folder, 'users.json'),
    '--engine',
    'lmdb',
    '--data',
    data,
    '--drain-window',
    '0',
  ];
  let server = await startServer(flags);
  chat.onTestEnd(async () => {
    await server.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });
  const desk = await chat.signIn(server.url, 'ada', 'plans');
  const bob = await chat.signIn(server.url, 'bob', 'plans');
  for (const text of ['one', 'two']) await send(bob, text);
  await waitForMessage(desk, 'two');
  await desk.goto(`${server.url}/#/other`);
  await desk.getByRole('heading', { name: 'other' }).waitFor();
  for (const text of ['three', '@ada four', 'five']) await send(bob, text);
  await desk.getByRole('link', { name: 'plans 1 mentions you, 3 unread' }).waitFor();
  await server.kill('SIGTERM');

  server = await startServer(flags, server.port);
  const phone = await chat.signIn(server.url, 'ada', 'plans');
  await waitForMessage(phone, 'five');
  const log = (await phone.locator('.log').textContent()) ?? '';
  expect(log.indexOf('two')).toBeLessThan(log.search(/new/i));
  expect(log.search(/new/i)).toBeLessThan(log.indexOf('three'));
  expect(await messageTexts(phone)).toContain('one');
  await waitForStatus(desk, 'Live');
  await unreadOf(desk, 'plans').waitFor({ state: 'detached' });
  expect(await desk.locator('.mention-badge').count()).toBe(0);
  await bob.close();
}, 60_000);
