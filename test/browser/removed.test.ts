import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { ApiClient } from '../api/api-client.ts';
import { useChat } from './page.ts';

const folder = mkdtempSync(join(tmpdir(), 'pumphouse-removed-'));
const api = new ApiClient(folder);
const chat = useChat({ keys: api.file });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the room of a user who was removed from it leaves the list, with a line that says so', async () => {
  const { url } = chat.server();
  const page = await chat.openAs('ada', { room: 'first' });
  await page.getByLabel('Join a room').fill('second');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'second' }).waitFor();
  expect((await api.post(url, '/users/ada/leave', { room: 'second' })).body).toMatchObject({ left: 1 });
  await page.getByText('You were removed from second').waitFor();
  await page.getByRole('heading', { name: 'first' }).waitFor();
  const rooms = await page.locator('#rooms li').allTextContents();
  expect(rooms.map((room) => room.trim())).toEqual(['first']);
  await page.reload();
  await page.getByRole('heading', { name: 'first' }).waitFor();
  expect(await page.locator('#rooms li').count()).toBe(1);
});
