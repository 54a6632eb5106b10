import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { Users } from '../../src/auth/users.ts';
import { startServer } from '../server.ts';
import { violations } from './axe.ts';
import { actOn, draft, messageTexts, send, sendLines, useChat, waitForMessage, waitForStatus } from './page.ts';

const chat = useChat(['--publish-rate', 'off']);
const phone = { viewport: { width: 390, height: 760 }, hasTouch: true, isMobile: true };

/** Opens a room in two browsers. */
async function openTwo(room: string): Promise<[Page, Page]> {
  return Promise.all([chat.openAs('ada', { room }), chat.openAs('bob', { room })]);
}

const row = (page: Page, text: string) => page.locator('.rows:not(.unsent) > .message', { hasText: text });
const modeOf = (page: Page) => page.locator('.composer').getAttribute('data-mode');

describe('an edit', () => {
  test('replaces the text for everybody, from the action and from the arrow in an empty composer', async () => {
    const [ada, bob] = await openTwo('edit');
    await send(ada, 'frist');
    await waitForMessage(bob, 'frist');
    await actOn(ada, 'frist', 'Edit');
    await expect.poll(() => draft(ada)).toBe('frist');
    await ada.locator('.mode').getByText('Edit message').waitFor();
    expect(await violations(ada)).toEqual([]);
    await send(ada, 'first');
    await waitForMessage(bob, 'first');
    await row(bob, 'first').getByText('(edited').waitFor();
    expect(await row(bob, 'first').locator('.edited').getAttribute('title')).toMatch(/^Edited .+\d/);
    expect(await violations(bob)).toEqual([]);
    expect(await draft(ada)).toBe('');
    await ada.locator('#input').press('ArrowUp');
    expect(await draft(ada)).toBe('first');
    await ada.keyboard.press('Escape');
    await expect.poll(() => draft(ada)).toBe('');
    expect(await modeOf(ada)).toBeNull();
    await ada.keyboard.press('ArrowUp');
    await ada.keyboard.press('Enter'); // an unchanged text changes nothing
    await send(bob, 'second');
    await waitForMessage(ada, 'second');
    expect(await messageTexts(ada)).toEqual(['first', 'second']);
    await actOn(ada, 'second', 'Reply'); // somebody else's message has no Edit
    expect(await ada.getByRole('button', { name: 'Edit' }).count()).toBe(0);
  });

  test('that the server rejects keeps its text and says why', async () => {
    const ada = await chat.openAs('ada', { room: 'rejected' });
    await send(ada, 'of one tab');
    await waitForMessage(ada, 'of one tab');
    // On this server the tab that has sent a message may change it, and no other.
    const tab = await chat.newPage(ada);
    await tab.goto(ada.url());
    await waitForMessage(tab, 'of one tab');
    await tab.locator('#input').press('ArrowUp');
    await send(tab, 'of another');
    await row(tab, 'of one tab').getByText('Edit not saved: the server lets only the tab').waitFor();
    expect(await row(tab, 'of one tab').locator('.rejected-edit').textContent()).toContain('of another');
    expect(await violations(tab)).toEqual([]);
    await row(tab, 'of one tab').getByRole('button', { name: 'Try again' }).click();
    await tab.locator('.rejected-edit').getByRole('button', { name: 'Edit' }).click();
    expect(await draft(tab)).toBe('of another');
    await tab.keyboard.press('Escape');
    await expect.poll(() => tab.locator('.rejected-edit').count()).toBe(0);
    await actOn(tab, 'of one tab', 'Delete');
    await tab.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await tab.getByText(/^Not deleted: /).waitFor();
    expect(await messageTexts(tab)).toEqual(['of one tab']);
  });
});

describe('a deletion', () => {
  test('is confirmed, and leaves a tombstone in place of the text and its mentions', async () => {
    const [ada, bob] = await openTwo('delete');
    for (const text of ['stays', '@bob see https://example.org/', 'last']) await send(ada, text);
    await waitForMessage(bob, 'last');
    await bob.locator('.mentioned').waitFor();
    await actOn(ada, '@bob', 'Delete');
    const dialog = ada.getByRole('dialog', { name: 'Delete this message?' });
    expect(await dialog.textContent()).toContain('@bob see');
    expect(await violations(ada)).toEqual([]);
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await actOn(ada, 'last', 'Edit');
    await send(ada, ''); // an empty text asks to delete
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    expect(await messageTexts(ada)).toContain('last');
    await actOn(ada, '@bob', 'Delete');
    await dialog.getByRole('button', { name: 'Delete' }).click();
    for (const page of [ada, bob]) {
      await waitForMessage(page, 'Message deleted');
      expect(await messageTexts(page)).toEqual(['stays', 'Message deleted', 'last']);
      expect(await page.locator('.mentioned, .text a').count()).toBe(0);
    }
    await row(bob, 'Message deleted').hover();
    await bob.getByRole('group', { name: /^Actions/ }).waitFor();
    expect(
      await bob
        .getByRole('group', { name: /^Actions/ })
        .getByRole('button')
        .count(),
    ).toBe(1);
    expect(await violations(bob)).toEqual([]);
  });
});

describe('a reaction', () => {
  test('is counted with its people, and toggled by click and by the keyboard', async () => {
    const [ada, bob] = await openTwo('react');
    await send(ada, 'lunch?');
    await waitForMessage(bob, 'lunch?');
    await actOn(bob, 'lunch?', 'React');
    const frequent = bob.getByRole('dialog', { name: 'React' });
    expect(await violations(bob)).toEqual([]);
    await frequent.getByRole('button', { name: '👍' }).click();
    const chip = (page: Page, name: string) => row(page, 'lunch?').getByRole('button', { name, exact: true });
    await chip(ada, '👍 1: bob').waitFor();
    expect(await chip(ada, '👍 1: bob').getAttribute('aria-pressed')).toBe('false');
    expect((await chip(ada, '👍 1: bob').boundingBox())?.height).toBe(32);
    await chip(ada, '👍 1: bob').click();
    await chip(bob, '👍 2: bob and ada').waitFor();
    expect(await chip(bob, '👍 2: bob and ada').getAttribute('title')).toBe('bob and ada');
    expect(await violations(bob)).toEqual([]);
    await chip(ada, '👍 2: bob and ada').press('Space');
    await chip(bob, '👍 1: bob').click();
    await expect.poll(() => ada.locator('.reaction').count()).toBe(0);
    await actOn(bob, 'lunch?', 'React');
    await frequent.getByRole('button', { name: 'More emoji' }).click();
    await bob.getByRole('combobox', { name: 'Search emoji' }).fill('pizza');
    await bob.keyboard.press('Enter');
    await chip(ada, '🍕 1: bob').waitFor();
  });

  test('is added on a phone by a long press, with targets that a finger can hit', async () => {
    const ada = await chat.openAs('ada', { room: 'touch', ...phone });
    const bob = chat.bot('bob', 'touch');
    await bob.send({ text: 'press here' });
    await waitForMessage(ada, 'press here');
    const box = await row(ada, 'press here').boundingBox();
    const at = { clientX: (box?.x ?? 0) + 80, clientY: (box?.y ?? 0) + 30, pointerType: 'touch', bubbles: true };
    await row(ada, 'press here').locator('.text').dispatchEvent('pointerdown', at);
    const dialog = ada.getByRole('dialog', { name: /^Actions/ });
    await dialog.getByRole('button', { name: '🎉' }).waitFor();
    expect(await violations(ada)).toEqual([]);
    await dialog.getByRole('button', { name: '🎉' }).click();
    const chip = row(ada, 'press here').getByRole('button', { name: '🎉 1: ada' });
    await chip.waitFor();
    expect((await chip.boundingBox())?.height).toBeGreaterThanOrEqual(44);
    const names = ['🍏', '🍐', '🍊', '🍋', '🍌', '🍉', '🍇', '🍓', '🍈', '🍒'];
    for (const reaction of names) await bob.send(null, { op: 'react', of: 1, reaction });
    await expect.poll(() => row(ada, 'press here').locator('.reaction').count()).toBe(11);
    expect(await ada.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
    expect(await violations(ada)).toEqual([]);
  });
});

describe('a reply', () => {
  test('quotes its message, which a click shows, or says that it is gone', async () => {
    const [ada, bob] = await openTwo('reply');
    await send(ada, 'the **question** is open');
    await waitForMessage(bob, 'the question is open');
    await actOn(bob, 'question', 'Reply');
    await bob.locator('.mode').getByText('Reply to ada').waitFor();
    expect(await violations(bob)).toEqual([]);
    await bob.keyboard.press('Escape');
    await expect.poll(() => modeOf(bob)).toBeNull();
    await actOn(bob, 'question', 'Reply');
    await send(bob, 'the answer');
    const quote = row(ada, 'the answer').locator('.quote');
    await quote.getByText('the question is open').waitFor();
    expect(await modeOf(bob)).toBeNull();
    await sendLines(chat.bot('carol', 'reply'), 'line', 300);
    await waitForMessage(ada, 'line 299');
    await send(bob, 'next');
    await actOn(bob, 'next', 'Reply');
    await send(bob, 'last answer');
    const carol = await chat.openAs('dave', { room: 'reply' });
    await waitForMessage(carol, 'last answer');
    await row(carol, 'last answer').locator('.quote').getByText('next').waitFor();
    expect(await violations(carol)).toEqual([]);
    const eve = chat.bot('eve', 'reply');
    const gone = await eve.send({ text: 'soon gone' });
    await eve.send({ text: 'about it' }, { reply: gone });
    await row(carol, 'about it').locator('.quote').getByText('soon gone').waitFor();
    await eve.send(null, { op: 'delete', of: gone });
    await row(carol, 'about it').locator('.quote').getByText('Message deleted').waitFor();
    await eve.send({ text: 'far away' }, { reply: 1 });
    const far = row(carol, 'far away').locator('.quote');
    await far.getByText('the question is open').waitFor();
    await actOn(ada, 'last answer', 'Copy text');
    await far.click();
    await carol.locator('.message[data-target]', { hasText: 'the question is open' }).waitFor();
  });
});

test('changes that race, wait for the connection, or come before a restart end equal for everyone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-changes-'));
  const users = new Users(join(folder, 'users.json'));
  for (const name of ['ada', 'bob']) await users.set(name, 'secret');
  const stored = ['--engine', 'lmdb', '--data', join(folder, 'data'), '--drain-window', '0'];
  const flags = ['--auth', 'otp', '--users', join(folder, 'users.json'), ...stored];
  let server = await startServer(flags);
  chat.onTestEnd(async () => {
    await server.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });
  const desk = await chat.signIn(server.url, 'ada', 'plans');
  const laptop = await chat.signIn(server.url, 'ada', 'plans');
  const bob = await chat.signIn(server.url, 'bob', 'plans');
  const pages = [desk, laptop, bob];
  for (const text of ['one', 'two', 'three']) await send(desk, text);
  for (const page of pages) await waitForMessage(page, 'three');
  const seen = (page: Page) => page.locator('.rows:not(.unsent) :is(.content, .reactions)').allTextContents();
  const all = async () => (await Promise.all(pages.map(seen))).map((texts) => texts.join('|').replaceAll('✓Sent', ''));
  const haveAll = (...texts: string[]) =>
    expect
      .poll(async () =>
        (await all()).every((each, _, [first]) => each === first && texts.some((text) => each.includes(text))),
      )
      .toBe(true);

  for (const page of [desk, laptop]) await actOn(page, 'two', 'Edit');
  await Promise.all([send(desk, 'two of the desk'), send(laptop, 'two of the laptop')]);
  await haveAll('two of the desk', 'two of the laptop');
  await actOn(bob, 'one', 'React');
  await bob.getByRole('dialog', { name: 'React' }).getByRole('button', { name: '👍' }).click();
  await haveAll('👍 1');

  await server.kill('SIGTERM');
  for (const page of pages) await waitForStatus(page, /Reconnecting|Trying|Connecting/);
  await actOn(desk, 'three', 'Edit');
  await send(desk, 'three at last');
  await row(desk, 'three at last').getByText('Waiting for the connection').waitFor();
  await row(bob, 'one').getByRole('button', { name: '👍 1: bob' }).click();
  await actOn(bob, 'three', 'React');
  await bob.getByRole('dialog', { name: 'React' }).getByRole('button', { name: '🎉' }).click();
  await bob.locator('.reaction.unsaved').waitFor();
  expect(await violations(bob)).toEqual([]);
  server = await startServer(flags, server.port);
  for (const page of pages) await waitForStatus(page, 'Live');
  await haveAll('three at last');
  await haveAll('🎉 1');
  await expect.poll(async () => (await all()).some((each) => each.includes('👍'))).toBe(false);
  expect(await bob.locator('.unsaved, .send-status.delayed').count()).toBe(0);
  await bob.reload();
  await waitForMessage(bob, 'three at last');
  await row(bob, 'three').locator('.reaction').waitFor();
  await bob.close();
}, 60_000);
