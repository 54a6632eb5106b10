import type { Page, WebSocketRoute } from 'playwright-core';
import { expect, test } from 'vitest';
import { messageTexts, send, useChat, waitForMessage, waitForStatus } from './page.ts';

const chat = useChat({ publishRate: 'off' });

/** The id of ada's browser, which starts the ids of her messages. */
const BROWSER = 'adasbrowse';

/**
 * Opens the chat of ada on a server that the test plays: it delivers messages to the page, and
 * stores none that the page sends.
 */
async function openOnFakeServer(): Promise<{ page: Page; deliver: (...messages: object[]) => void }> {
  const page = await chat.newPage();
  let socket: WebSocketRoute | undefined;
  const deliver = (...messages: object[]) => socket?.send(messages.map((line) => JSON.stringify(line)).join('\n'));
  await page.addInitScript(`localStorage['pumphouse.chat'] ??= JSON.stringify({ name: 'ada', browser: '${BROWSER}' })`);
  await page.routeWebSocket(/\/ws/, (route) => {
    socket = route;
    const limits = { message: 16_384, roomName: 128, rooms: 128, history: 1000 };
    route.onMessage((frame) => {
      const { t, id } = JSON.parse(String(frame));
      if (t === 'join') deliver(joined('log-1', 0, { members: ['ada', 'bob'], count: 2 }));
      if (t === 'history') deliver({ t: 'history', room: 'lobby', id, messages: [], more: false });
    });
    deliver({ t: 'welcome', session: 's', user: 'ada', resume: 'secret', limits, heartbeat: 25 });
  });
  await page.goto(`${chat.server().url}/#/lobby`);
  await waitForStatus(page, 'Live');
  return { page, deliver };
}

const joined = (epoch: string, seq: number, overrides: object = {}) =>
  ({ t: 'joined', room: 'lobby', epoch, seq, recovered: true, count: 1, members: ['ada'], ...overrides }) as const;
const message = (seq: number, from: string, text: string) =>
  ({
    t: 'message',
    room: 'lobby',
    seq,
    id: from === 'ada' ? `${BROWSER}.${seq}` : `${seq}`,
    from,
    at: Date.now(),
    data: { text },
  }) as const;

test('shows lost messages as not stored, before those with the same numbers', async () => {
  const { page, deliver } = await openOnFakeServer();
  deliver(
    message(1, 'bob', 'Shall we ship it?'),
    message(2, 'ada', 'The tests are green.'),
    message(3, 'bob', 'Then I tag the release.'),
    message(4, 'ada', 'Wait for the changelog.'),
    message(5, 'bob', 'Done.'),
  );
  await waitForMessage(page, 'Done.');
  deliver(joined('log-2', 2, { recovered: false, lost: { from: 3, to: 5 } }), message(3, 'bob', 'Are you there?'));
  await waitForMessage(page, 'Are you there?');
  const line = page.getByRole('alert').getByText('3 messages are no longer stored: lost when the server moved');
  await line.waitFor();
  const rows = page.locator('.rows:not(.unsent) > li:not(.day)');
  const lost = rows.filter({ hasText: 'Not stored' });
  expect(await lost.locator('.text').allTextContents()).toEqual([
    'Then I tag the release.',
    'Wait for the changelog.',
    'Done.',
  ]);
  expect(await lost.locator('.tick').count()).toBe(0);
  expect(await rows.locator('.tick').count()).toBe(1);
  const order = await rows.allTextContents();
  expect(order.findIndex((text) => text.includes('3 messages are no longer stored'))).toBe(5);
  expect(order.at(-1)).toContain('Are you there?');
  expect(await page.getByRole('button', { name: 'Load' }).count()).toBe(0);
});

test('shows messages of a log that replaces another one, beside those of the first', async () => {
  const { page, deliver } = await openOnFakeServer();
  deliver(message(1, 'bob', 'first'), message(2, 'bob', 'second'));
  await waitForMessage(page, 'second');
  deliver(joined('other-1', 0, { recovered: false }), message(1, 'bob', 'again the first'));
  await waitForMessage(page, 'again the first');
  expect(await messageTexts(page)).toEqual(['first', 'second', 'again the first']);
  await page.locator('.rows > .muted').getByText('The room was reset').waitFor();
  expect(await page.getByText('Not stored').count()).toBe(0);
  await send(page, 'still works');
  await page.locator('.unsent .text').getByText('still works').waitFor();
});
