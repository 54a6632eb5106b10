import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { Users } from '../../src/auth/users.ts';
import { startServer } from '../server.ts';
import { say, shows, stands, useChat } from './page.ts';

const chat = useChat();

test('where one signs in with a password, the page asks for it, and once is enough', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-sign-in-'));
  const users = new Users(join(folder, 'users.json'));
  await users.set('ada', 'secret');
  const server = await startServer(['--auth', 'otp', '--users', join(folder, 'users.json')]);
  chat.after(async () => {
    await server.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });
  const page = await chat.tab();
  await page.goto(server.url);
  await page.getByLabel('Name').fill('ada');
  await page.getByLabel('Password').fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('Wrong name or password').waitFor();
  await page.getByLabel('Password').fill('secret');
  await page.keyboard.press('Enter');
  await stands(page, 'Live');
  await say(page, 'signed in');
  await shows(page, 'signed in');
  await page.reload();
  await stands(page, 'Live');
  await shows(page, 'signed in');
  expect(await page.locator('.author').textContent()).toBe('ada');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Password').waitFor();
  expect(await page.getByLabel('Name').inputValue()).toBe('');
  expect(await page.evaluate('localStorage.length + sessionStorage.length')).toBe(0);
});

test('where one needs a token, the page asks for it, and for another when the server takes it no more', async () => {
  const secret = 'a secret of more than thirty-two bytes';
  const server = await startServer(['--auth', 'jwt', '--jwt-secret', secret]);
  chat.after(() => server.kill('SIGKILL'));
  const token = (seconds: number) =>
    new SignJWT({ sub: 'ada', exp: Math.floor(Date.now() / 1000) + seconds })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(secret));
  const page = await chat.tab();
  await page.goto(server.url);
  await page.getByLabel('Your token').fill('nonsense');
  await page.keyboard.press('Enter');
  await page.getByText('Please sign in again.').waitFor();
  await page.getByLabel('Your token').fill(await token(4));
  await page.keyboard.press('Enter');
  await stands(page, 'Live');
  await say(page, 'for a moment');
  await shows(page, 'for a moment');
  expect(await page.locator('.who bdi').textContent()).toBe('ada');
  await page.getByText('Please sign in again.').waitFor();
  await page.getByLabel('Your token').fill(await token(60));
  await page.keyboard.press('Enter');
  await stands(page, 'Live');
  await shows(page, 'for a moment');
});
