import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
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
    expect(await row(bob, 'first').locator('.send-status').getAttribute('title')).toMatch(/^Edited .+\d/);
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
    await send(ada, 'before the reload');
    await waitForMessage(ada, 'before the reload');
    await ada.reload();
    await waitForMessage(ada, 'before the reload');
    await ada.locator('#input').press('ArrowUp');
    await send(ada, 'after the reload');
    await row(ada, 'before')
      .getByText(/Edit not saved: .*reloaded/)
      .waitFor();
    expect(await row(ada, 'before').locator('.rejected-edit').textContent()).toContain('after the reload');
    expect(await violations(ada)).toEqual([]);
    await row(ada, 'before').getByRole('button', { name: 'Edit' }).click();
    expect(await draft(ada)).toBe('after the reload');
    await ada.keyboard.press('Escape');
    expect(await ada.locator('.rejected-edit').count()).toBe(0);
    // On this server the tab that has sent a message may change it, and no other.
    await actOn(ada, 'before', 'Delete');
    await ada.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await ada.getByText(/Not deleted: /).waitFor();
    expect(await messageTexts(ada)).toEqual(['before the reload']);
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
    await chat.bot('eve', 'reply').send({ text: 'far away' }, { reply: 1 });
    const far = row(carol, 'far away').locator('.quote');
    await far.getByText('the question is open').waitFor();
    await actOn(ada, 'last answer', 'Copy text');
    await far.click();
    await carol.locator('.message[data-target]', { hasText: 'the question is open' }).waitFor();
  });
});
