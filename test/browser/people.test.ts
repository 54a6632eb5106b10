import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { Users } from '../../src/auth/users.ts';
import { scrollTo, send, useChat, waitForMessage, waitForStatus } from './page.ts';

const chat = useChat({ publishRate: 'off' });

/** Returns the text of each byline without its time. */
function bylines(page: Page): Promise<string[]> {
  return page
    .locator('.byline')
    .evaluateAll((lines) =>
      lines.map((line) => line.textContent?.slice(0, -(line.querySelector('time')?.textContent?.length ?? 0)) ?? ''),
    );
}

/** Returns the texts of the messages that count as the reader's own. */
function ownTexts(page: Page): Promise<string[]> {
  return page.locator('.rows:not(.unsent) .own .text').allTextContents();
}

async function openPeople(page: Page): Promise<readonly string[]> {
  await page.getByRole('button', { name: /online$/ }).click();
  const people = await page.locator('.people li').evaluateAll((rows) =>
    rows.map((row) =>
      [...row.children]
        .slice(1)
        .map((part) => part.textContent)
        .join(''),
    ),
  );
  await page.getByRole('button', { name: 'Close' }).click();
  return people;
}

test('tells two people of one name apart: in messages, in the list and in the counts', async () => {
  const room = 'namesakes';
  const one = await chat.openAs('tim', { room });
  const two = await chat.openAs('tim', { room });
  const ada = await chat.openAs('ada', { room });
  await send(one, 'from the first');
  await waitForMessage(two, 'from the first');
  await send(two, 'from the second');
  await waitForMessage(one, 'from the second');
  await send(one, 'again the first');
  for (const page of [one, two, ada]) {
    await waitForMessage(page, 'again the first');
    await page.getByRole('button', { name: '3 people online' }).waitFor();
    expect(await openPeople(page)).toHaveLength(3);
  }
  expect(await ownTexts(one)).toEqual(['from the first', 'again the first']);
  expect(await ownTexts(two)).toEqual(['from the second']);
  expect(await ownTexts(ada)).toEqual([]);
  expect(await bylines(one)).toEqual(['timyou', 'tim (2)', 'timyou']);
  expect(await bylines(two)).toEqual(['tim (2)', 'timyou', 'tim (2)']);
  expect(await bylines(ada)).toEqual(['tim', 'tim (2)', 'tim']);
  expect(await openPeople(one)).toEqual(['ada', 'timyou', 'tim (2)']);
  expect(await openPeople(ada)).toEqual(['adayou', 'tim', 'tim (2)']);

  await two.reload();
  await waitForMessage(two, 'again the first');
  expect(await ownTexts(two)).toEqual(['from the second']);
  await send(two, 'still the second');
  await waitForMessage(ada, 'still the second');
  expect((await bylines(ada)).at(-1)).toBe('tim (2)');
  await two.close();
  for (const page of [one, ada]) await page.getByRole('button', { name: '2 people online' }).waitFor();
  expect(await openPeople(ada)).toEqual(['adayou', 'tim']);
});

test('counts the tabs of one browser as one person, beside another of that name', async () => {
  const room = 'tabs';
  const one = await chat.openAs('tim', { room });
  const other = await chat.openAs('tim', { room });
  await one.getByRole('button', { name: '2 people online' }).waitFor();
  const tab = await chat.newPage(one);
  await tab.goto(`${chat.server().url}/#/${room}`);
  await waitForStatus(tab, 'Live');
  for (const page of [one, tab]) {
    await page.getByRole('button', { name: '2 people online' }).waitFor();
    await expect.poll(() => openPeople(page)).toEqual(['timyou', 'tim (2)']);
  }
  await send(tab, 'from a tab');
  await waitForMessage(one, 'from a tab');
  expect(await ownTexts(one)).toEqual(['from a tab']);
  await waitForMessage(other, 'from a tab');
  expect(await ownTexts(other)).toEqual([]);
});

test('takes a name for one person where the server verifies it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-people-'));
  const users = new Users(join(folder, 'users.json'));
  for (const name of ['ada', 'bob']) await users.set(name, 'secret');
  chat.onTestEnd(() => rmSync(folder, { recursive: true }));
  const server = await chat.serve({ auth: 'otp', users: join(folder, 'users.json') });
  const pages: Page[] = [];
  for (const name of ['ada', 'ada', 'bob']) {
    const page = await chat.newPage();
    await page.goto(server.url);
    await page.getByLabel('Username').fill(name);
    await page.getByLabel('Password').fill('secret');
    await page.keyboard.press('Enter');
    await waitForStatus(page, 'Live');
    pages.push(page);
  }
  const [desktop, phone, bob] = pages as [Page, Page, Page];
  await send(phone, 'from my phone');
  await waitForMessage(desktop, 'from my phone');
  expect(await ownTexts(desktop)).toEqual(['from my phone']);
  for (const page of [desktop, phone, bob]) await page.getByRole('button', { name: '2 people online' }).waitFor();
  expect(await openPeople(bob)).toEqual(['ada', 'bobyou']);
});

test('names the author of each message to screen readers, also within a group', async () => {
  const room = 'grouped';
  const [ada, bob] = [await chat.openAs('ada', { room }), await chat.openAs('bob', { room })];
  for (const text of ['one', 'two', 'three']) await send(bob, text);
  await waitForMessage(ada, 'three');
  expect(await ada.locator('.byline').count()).toBe(1);
  await scrollTo(ada, 'three');
  for (const text of ['one', 'two', 'three']) {
    const row = ada.getByRole('listitem').filter({ has: ada.getByText(text, { exact: true }) });
    expect(await row.ariaSnapshot()).toMatch(/bob/);
  }
  expect(await ada.locator('.message:not(.first)').first().textContent()).not.toContain('bob');
});
