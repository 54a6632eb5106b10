import { expect, test } from 'vitest';
import { violations } from './axe.ts';
import { draft, sendLines, useChat, waitForMessage } from './page.ts';

const chat = useChat({ publishRate: 'off' });
const phone = { viewport: { width: 390, height: 760 }, hasTouch: true, isMobile: true };

test('Ctrl+K goes to a room, the last one first, and joins another', async () => {
  const ada = await chat.openAs('ada', { room: 'pump room' });
  for (const room of ['valves', 'gauges']) {
    await ada.goto(`${chat.server().url}/#/${room}`);
    await ada.getByRole('heading', { name: room }).waitFor();
  }
  const dialog = ada.getByRole('dialog', { name: 'Go to a room or person' });
  await ada.locator('#input').pressSequentially('a draft');
  await ada.keyboard.press('Control+k');
  await dialog.waitFor();
  expect(await violations(ada)).toEqual([]);
  const names = () => dialog.getByRole('option').locator('bdi').allTextContents();
  expect(await names()).toEqual(['valves', 'pump room', 'gauges']);
  await ada.keyboard.type('prm');
  await expect.poll(async () => (await names())[0]).toBe('pump room');
  await ada.keyboard.press('Enter');
  await ada.getByRole('heading', { name: 'pump room' }).waitFor();
  await dialog.waitFor({ state: 'detached' });
  await expect.poll(() => ada.evaluate('document.activeElement.id')).toBe('input');
  await ada.keyboard.press('Control+k');
  await ada.keyboard.press('ArrowDown');
  await expect.poll(() => dialog.getByRole('combobox').getAttribute('aria-activedescendant')).toBe('go-to-1');
  await ada.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await expect.poll(() => ada.evaluate('document.activeElement.id')).toBe('input');
  await ada.keyboard.press('Control+k');
  await ada.keyboard.type('a new room');
  await ada.keyboard.press('Enter');
  await ada.getByRole('heading', { name: 'a new room' }).waitFor();
});

test('goes to the latest message of a person, or mentions one who has not written', async () => {
  const bob = chat.bot('bob', 'origin');
  await bob.send({ text: 'from bob' });
  await sendLines(chat.bot('carol', 'origin'), 'line', 60);
  chat.bot('Dora D', 'origin');
  const ada = await chat.openAs('ada', { room: 'origin' });
  await waitForMessage(ada, 'line 59');
  await ada.getByRole('button', { name: '4 people online' }).waitFor();
  await ada.goto(`${chat.server().url}/#/elsewhere`);
  await ada.getByRole('heading', { name: 'elsewhere' }).waitFor();
  await ada.keyboard.press('Control+k');
  await ada.keyboard.type('bo');
  await ada.getByRole('option', { name: 'bob in origin' }).click();
  await ada.getByRole('heading', { name: 'origin' }).waitFor();
  await ada.locator('.message[data-target]', { hasText: 'from bob' }).waitFor();
  await ada.keyboard.press('Control+k');
  await ada.keyboard.type('dora');
  await ada.getByRole('option', { name: 'Dora D mention in origin' }).waitFor();
  await ada.keyboard.press('Enter');
  await expect.poll(() => draft(ada)).toBe('@[Dora D] ');
  await expect.poll(() => ada.evaluate('document.activeElement.id')).toBe('input');
});

test('? lists the shortcuts outside of text, and the menu of the room does', async () => {
  const ada = await chat.openAs('ada', { room: 'help' });
  const dialog = ada.getByRole('dialog', { name: 'Keyboard shortcuts' });
  await ada.locator('#input').pressSequentially('why?');
  expect(await draft(ada)).toBe('why?');
  await ada.locator('.log').focus();
  await ada.keyboard.press('?');
  await dialog.waitFor();
  expect(await violations(ada)).toEqual([]);
  await dialog.getByText('Go to a room or person').waitFor();
  await dialog.getByText('Copy link').waitFor();
  await ada.keyboard.press('Control+k');
  expect(await ada.locator('dialog').count()).toBe(1);
  await ada.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  expect(await ada.evaluate('document.activeElement.className')).toBe('log');
  await ada.getByRole('button', { name: 'Room menu' }).click();
  expect(await violations(ada)).toEqual([]);
  await ada.getByRole('button', { name: 'Keyboard shortcuts' }).click();
  await dialog.getByRole('button', { name: 'Close' }).click();
  await dialog.waitFor({ state: 'detached' });
  expect(await ada.evaluate('document.activeElement.ariaLabel')).toBe('Room menu');
});

test('is reached from the menu on a phone', async () => {
  const ada = await chat.openAs('ada', { room: 'phone', ...phone, colorScheme: 'dark' });
  await ada.getByRole('button', { name: 'Room menu' }).click();
  await ada.getByRole('button', { name: 'Go to…' }).click();
  const dialog = ada.getByRole('dialog', { name: 'Go to a room or person' });
  await dialog.waitFor();
  expect(await violations(ada)).toEqual([]);
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await dialog.waitFor({ state: 'detached' });
});
