import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { Users } from '../../src/auth/users.ts';
import { startServer } from '../server.ts';
import { violations } from './axe.ts';
import { actOn, draft, messageTexts, send, sendLines, useChat, waitForMessage, waitForStatus } from './page.ts';

const chat = useChat({ publishRate: 'off' });
const phone = { viewport: { width: 390, height: 760 }, hasTouch: true, isMobile: true };

/** Opens a room in two browsers. */
async function openTwo(room: string): Promise<[Page, Page]> {
  return Promise.all([chat.openAs('ada', { room }), chat.openAs('bob', { room })]);
}

const row = (page: Page, text: string) => page.locator('.rows:not(.unsent) > .message', { hasText: text });
const modeOf = (page: Page) => page.locator('.composer').getAttribute('data-mode');

/**
 * Holds the changes that a page sends after its next load, until they are released.
 *
 * @returns the ids of all that it has sent, and a function that releases them or holds them again.
 */
async function holdChanges(page: Page) {
  const ids: string[] = [];
  let held: (() => void)[] | undefined = [];
  await page.routeWebSocket(/\/ws/, (socket) => {
    const server = socket.connectToServer();
    if (held) held = []; // those of the connection before are sent again
    socket.onMessage((frame) => {
      const lines = String(frame).split('\n');
      const changes = lines.filter((line) => line.includes('"op":'));
      ids.push(...changes.map((line) => JSON.parse(line).id));
      if (changes.length > 0 && held) held.push(() => server.send(frame));
      else server.send(frame);
    });
  });
  await page.reload();
  await waitForStatus(page, 'Live');
  const hold = (on: boolean) => {
    for (const send of held ?? []) send();
    held = on ? [] : undefined;
  };
  return { ids, hold };
}

/** Reloads a page, and waits until it shows a message. */
async function reload(page: Page, text: string): Promise<void> {
  await page.reload();
  await waitForStatus(page, 'Live');
  await row(page, text).waitFor();
}

async function deleteMessage(page: Page, text: string): Promise<void> {
  await actOn(page, text, 'Delete');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
}

async function react(page: Page, text: string, emoji: string): Promise<void> {
  await actOn(page, text, 'React');
  await page.getByRole('dialog', { name: 'React' }).getByRole('button', { name: emoji }).click();
}

const pendingCount = (page: Page) => page.locator('.unsaved, .send-status.delayed').count();

describe('a change that is not acknowledged', () => {
  test('shows as pending also after a reload, is sent once, and a refusal is shown at its message', async () => {
    const [ada, bob] = await openTwo('pending');
    const eve = chat.bot('eve', 'pending');
    for (const text of ['alpha', 'beta', 'gamma']) await send(ada, text);
    await waitForMessage(bob, 'gamma');
    const gone = await eve.send({ text: 'soon gone' });
    await waitForMessage(ada, 'soon gone');
    const { ids, hold } = await holdChanges(ada);
    await waitForMessage(ada, 'soon gone');
    await actOn(ada, 'alpha', 'Edit');
    await send(ada, 'omega');
    await deleteMessage(ada, 'beta');
    await react(ada, 'gamma', '👍');
    await react(ada, 'soon gone', '🎉');
    const isPending = async () => {
      await row(ada, 'omega').getByText('Saving…').waitFor();
      await row(ada, 'beta').getByText('Deleting…').waitFor();
      await row(ada, 'gamma').locator('.reaction.unsaved').waitFor();
      await row(ada, 'soon gone').locator('.reaction.unsaved').waitFor();
      expect(await messageTexts(bob)).toEqual(['alpha', 'beta', 'gamma', 'soon gone']);
    };
    await isPending();
    await reload(ada, 'omega');
    await isPending();
    expect(await violations(ada)).toEqual([]);
    await expect.poll(() => ids.length).toBe(8);
    expect(ids.slice(4)).toEqual(ids.slice(0, 4));
    expect(new Set(ids).size).toBe(4);

    await eve.send(null, { op: 'delete', of: gone });
    await waitForMessage(ada, 'Message deleted');
    hold(false);
    for (const page of [ada, bob]) {
      await waitForMessage(page, 'omega');
      await row(page, 'gamma').getByRole('button', { name: '👍 1: ada' }).waitFor();
      await expect.poll(() => messageTexts(page)).toEqual(['omega', 'Message deleted', 'gamma', 'Message deleted']);
    }
    await ada.getByText('Reaction 🎉 not saved:').waitFor();
    expect(await pendingCount(ada)).toBe(0);
    await reload(ada, 'omega');
    expect(await violations(ada)).toEqual([]);
    await ada.locator('.message', { hasText: 'Reaction 🎉' }).getByRole('button', { name: 'Dismiss' }).click();
    await reload(ada, 'omega');
    expect(await ada.getByText('not saved').count()).toBe(0);
    expect(ids.length).toBe(8);
  }, 40_000);
});

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
    const { hold } = await holdChanges(tab);
    await waitForMessage(tab, 'of one tab');
    await tab.locator('#input').press('ArrowUp');
    await expect.poll(() => draft(tab)).toBe('of one tab');
    await send(tab, 'of another');
    await row(tab, 'of another').getByText('Saving…').waitFor();
    hold(false);
    await row(tab, 'of one tab').getByText('Edit not saved: the server lets only the tab').waitFor();
    await reload(tab, 'of one tab');
    await row(tab, 'of one tab').getByText('Edit not saved: the server lets only the tab').waitFor();
    expect(await row(tab, 'of one tab').locator('.rejected-edit').textContent()).toContain('of another');
    expect(await violations(tab)).toEqual([]);
    await row(tab, 'of one tab').getByRole('button', { name: 'Try again' }).click();
    await tab.locator('.rejected-edit').getByRole('button', { name: 'Edit' }).click();
    expect(await draft(tab)).toBe('of another');
    await tab.keyboard.press('Escape');
    await expect.poll(() => tab.locator('.rejected-edit').count()).toBe(0);
    hold(true);
    await deleteMessage(tab, 'of one tab');
    await row(tab, 'of one tab').getByText('Deleting…').waitFor();
    hold(false);
    await tab.getByText(/^Not deleted: /).waitFor();
    expect(await messageTexts(tab)).toEqual(['of one tab']);
    await row(tab, 'of one tab').getByText('Not deleted: the server lets only the tab').waitFor();
    expect(await pendingCount(tab)).toBe(0);
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
    // The tick follows the text, not the wider quote.
    const own = row(bob, 'the answer');
    const [text, tick] = await Promise.all([own.locator('.text').boundingBox(), own.locator('.tick').boundingBox()]);
    expect(Math.abs((tick?.x ?? 0) - (text?.x ?? 0) - (text?.width ?? 0))).toBeLessThan(2);
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
  }, 40_000);
});

test('a message that the server no longer keeps is named as such in a quote, and its change is refused', async () => {
  const ada = await chat.openAs('ada', { room: 'trimmed' });
  const eve = chat.bot('eve', 'trimmed');
  await send(ada, 'soon too old');
  await waitForMessage(ada, 'soon too old');
  const { hold } = await holdChanges(ada);
  await waitForMessage(ada, 'soon too old');
  await actOn(ada, 'soon too old', 'Edit');
  await send(ada, 'edited too late');
  await row(ada, 'edited too late').getByText('Saving…').waitFor();
  const url = ada.url();
  // Nothing is unread when the page is opened again: it would open at the large messages.
  await ada.evaluate(`localStorage['pumphouse.chat'] = JSON.stringify({ name: 'ada' })`);
  await ada.goto('about:blank');
  // The server keeps 8 MiB of a room, and up to an eighth more.
  await Promise.all(Array.from({ length: 620 }, () => eve.send({ text: 'x'.repeat(16_000) })));
  await sendLines(eve, 'line', 110);
  await eve.send({ text: 'about it' }, { reply: 1 });
  const bob = await chat.openAs('bob', { room: 'trimmed' });
  await row(bob, 'about it').locator('.quote').getByText('The message is no longer kept').waitFor();
  expect(await violations(bob)).toEqual([]);
  hold(false);
  await ada.goto(url);
  await ada.getByText(/^Edit not saved: .*\.$/).waitFor();
  expect(await ada.locator('.rejected-edit').count()).toBe(0);
}, 40_000);

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
  for (const text of ['one', 'two', 'four', 'five', 'three']) await send(desk, text);
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
  await react(bob, 'one', '👍');
  await haveAll('👍 1');
  // A deletion ends what races with it, whichever comes first.
  await actOn(desk, 'four', 'Delete');
  await actOn(laptop, 'four', 'Edit');
  await actOn(bob, 'four', 'React');
  await Promise.all([
    desk.getByRole('dialog').getByRole('button', { name: 'Delete' }).click(),
    send(laptop, 'four of the laptop'),
    bob.getByRole('dialog', { name: 'React' }).getByRole('button', { name: '🎉' }).click(),
  ]);
  await haveAll('Message deleted');

  await server.kill('SIGTERM');
  for (const page of pages) await waitForStatus(page, /Reconnecting|Trying|Connecting/);
  await actOn(desk, 'three', 'Edit');
  await send(desk, 'three at last');
  await row(desk, 'three at last').getByText('Waiting for the connection').waitFor();
  await row(bob, 'one').getByRole('button', { name: '👍 1: bob' }).click();
  await react(bob, 'three', '🎉');
  await row(bob, 'three').locator('.reaction.unsaved').waitFor();
  await deleteMessage(laptop, 'five');
  await row(laptop, 'five').getByText('Waiting for the connection').waitFor();
  await react(bob, 'five', '👍');
  await react(desk, 'three', '🎉');
  expect(await violations(bob)).toEqual([]);
  server = await startServer(flags, server.port);
  for (const page of pages) await waitForStatus(page, 'Live');
  await haveAll('three at last');
  await haveAll('🎉 2');
  await expect.poll(async () => (await all()).some((each) => each.includes('👍'))).toBe(false);
  await expect.poll(() => pendingCount(bob)).toBe(0);
  await expect.poll(async () => (await all()).map((each) => each.split('Message deleted').length)).toEqual([3, 3, 3]);
  await haveAll('Message deleted|');
  // The log of the server does not tell when a message was edited.
  const withoutTimes = async () => (await all()).map((each) => each.replaceAll(/\(edited [^)]+\)/g, '(edited)'));
  await reload(bob, 'three at last');
  await row(bob, 'three').locator('.reaction').waitFor();
  await expect.poll(async () => new Set(await withoutTimes()).size).toBe(1);
  await bob.close();
}, 90_000);
