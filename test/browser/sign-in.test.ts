import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { Users } from '../../src/auth/users.ts';
import { send, useChat, waitForMessage, waitForStatus } from './page.ts';

const chat = useChat();

test('signs in with a password, and stays signed in after a reload', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-sign-in-'));
  const users = new Users(join(folder, 'users.json'));
  await users.set('ada', 'secret');
  chat.onTestEnd(() => rmSync(folder, { recursive: true }));
  const server = await chat.serve({ auth: 'otp', users: join(folder, 'users.json') });
  const page = await chat.newPage();
  await page.goto(server.url);
  await page.getByLabel('Username').fill('ada');
  await page.getByLabel('Password').fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('Incorrect username or password.').waitFor();
  await page.getByLabel('Password').fill('secret');
  await page.keyboard.press('Enter');
  await waitForStatus(page, 'Live');
  await send(page, 'signed in');
  await waitForMessage(page, 'signed in');
  await page.reload();
  await waitForStatus(page, 'Live');
  await waitForMessage(page, 'signed in');
  expect(await page.locator('.author').textContent()).toBe('ada');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Password').waitFor();
  expect(await page.getByLabel('Username').inputValue()).toBe('');
  expect(await page.evaluate('localStorage.length + sessionStorage.length')).toBe(0);
});

/** Sends wrong passwords of ada until the server accepts no further attempt. */
async function waitUntilThrottled(url: string): Promise<void> {
  const body = JSON.stringify({ username: 'ada', password: 'wrong' });
  const attempts = Array.from({ length: 12 }, async () => {
    const { status } = await fetch(`${url}/login`, { method: 'POST', body });
    if (status !== 429) throw new Error(`status ${status}`);
  });
  await Promise.any(attempts);
}

test('says how long to wait after too many attempts, and lets a password manager fill the form', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-sign-in-'));
  await new Users(join(folder, 'users.json')).set('ada', 'secret');
  chat.onTestEnd(() => rmSync(folder, { recursive: true }));
  const server = await chat.serve({ auth: 'otp', users: join(folder, 'users.json') });
  const page = await chat.newPage();
  await page.goto(server.url);
  expect(await page.getByLabel('Username').getAttribute('autocomplete')).toBe('username');
  expect(await page.getByLabel('Password').getAttribute('autocomplete')).toBe('current-password');
  await page.getByLabel('Username').fill('ada');
  await page.getByLabel('Password').fill('secret');
  await waitUntilThrottled(server.url);
  await page.keyboard.press('Enter');
  await page.getByText('Too many attempts to sign in. Try again in 10 seconds.').waitFor();
  await page.route('**/login', (route) => route.fulfill({ status: 503, headers: { 'Retry-After': '1' } }));
  await page.keyboard.press('Enter');
  await page.getByText('Sign-in is unavailable. Try again in 1 second.').waitFor();
  await page.context().setOffline(true);
  await page.unroute('**/login');
  await page.keyboard.press('Enter');
  await page.getByText('The server cannot be reached. Check your connection and try again.').waitFor();
});

test('keeps the ticket of a sign-in while the server has too many connections', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-sign-in-'));
  await new Users(join(folder, 'users.json')).set('ada', 'secret');
  chat.onTestEnd(() => rmSync(folder, { recursive: true }));
  const server = await chat.serve({ auth: 'otp', users: join(folder, 'users.json') });
  const page = await chat.newPage();
  let attempts = 0;
  await page.routeWebSocket(/\/ws/, (socket) => {
    if (attempts++ > 0) {
      socket.connectToServer();
      return;
    }
    // Closes after the client has sent the ticket.
    socket.onMessage(() => {
      socket.send('{"t":"error","code":"too_many_connections","message":"","retry":true,"retryAfter":500}');
      socket.close({ code: 4005, reason: 'too many connections' });
    });
  });
  await page.goto(server.url);
  await page.getByLabel('Username').fill('ada');
  await page.getByLabel('Password').fill('secret');
  await page.keyboard.press('Enter');
  await waitForStatus(page, 'Live');
  expect(attempts).toBe(2);
});

test('signs in with a token, and asks for another when it expires', async () => {
  const secret = 'a secret of more than thirty-two bytes';
  const server = await chat.serve({ auth: 'jwt', jwtSecret: secret });
  const token = (seconds: number) =>
    new SignJWT({ sub: 'ada', exp: Math.floor(Date.now() / 1000) + seconds })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(secret));
  const page = await chat.newPage();
  await page.goto(server.url);
  await page.getByLabel('Access token').fill('nonsense');
  await page.keyboard.press('Enter');
  await page.getByText('This token is not valid. Check that it is complete and has not expired.').waitFor();
  await page.getByLabel('Access token').fill(await token(4));
  await page.keyboard.press('Enter');
  await waitForStatus(page, 'Live');
  await send(page, 'before it expires');
  await waitForMessage(page, 'before it expires');
  expect(await page.locator('.profile-name bdi').textContent()).toBe('ada');
  await page.getByText('Your session has expired. Please sign in again.').waitFor();
  await page.getByLabel('Access token').fill(await token(60));
  await page.keyboard.press('Enter');
  await waitForStatus(page, 'Live');
  await waitForMessage(page, 'before it expires');
});
