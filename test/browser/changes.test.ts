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
});
