import type { Page } from 'playwright-core';
import { beforeEach, expect, test } from 'vitest';
import { sharedPortProblem } from '../../src/config/shared-ports.ts';
import { samplesByWorker } from '../workers/metrics.ts';
import { variant } from '../workers/variants.ts';
import { messageTexts, send, useChat, waitForMessage, waitForStatus } from './page.ts';

const problem = sharedPortProblem(variant.transport);
const chat = useChat(problem === undefined ? ['--workers', '2'] : []);
beforeEach((context) => context.skip(problem !== undefined, problem));

const TWO_ONLINE = /^2 (people )?online$/;

/** Reloads a page until the kernel passes its connection to the worker that has none. */
async function moveToOtherWorker(page: Page): Promise<void> {
  for (;;) {
    const connections = await samplesByWorker(chat.server().url, 'pumphouse_connections');
    if ([...connections.values()].join() === '1,1') return;
    await page.reload();
    await waitForStatus(page, 'Live');
  }
}

test('two people on different workers share a room: presence, typing, messages in one order, and a resumed session', async () => {
  const ada = await chat.openAs('ada');
  const bob = await chat.openAs('bob');
  await moveToOtherWorker(bob);
  for (const page of [ada, bob]) await page.getByRole('button', { name: TWO_ONLINE }).waitFor();

  await bob.locator('#input').pressSequentially('writing');
  await ada.getByText('bob is typing').waitFor();
  const texts = await Promise.all([sendTen(ada, 'ada'), sendTen(bob, 'bob')]);
  for (const page of [ada, bob]) for (const text of texts.flat()) await waitForMessage(page, text);
  const shown = await messageTexts(ada);
  expect(await messageTexts(bob)).toEqual(shown);
  for (const [i, name] of ['ada', 'bob'].entries()) {
    expect(shown.filter((text) => text.startsWith(name))).toEqual(texts[i]);
  }

  await ada.reload();
  await waitForStatus(ada, 'Live');
  await send(bob, 'still there?');
  for (const page of [ada, bob]) await waitForMessage(page, 'still there?');
  expect(await messageTexts(ada)).toEqual([...shown, 'still there?']);
  await bob.close();
  await ada.getByRole('button', { name: /^1 (person )?online$/ }).waitFor();
});

/** Sends ten messages, one after the other. @returns their texts. */
async function sendTen(page: Page, name: string): Promise<readonly string[]> {
  const texts = Array.from({ length: 10 }, (_, i) => `${name} ${i}`);
  for (const text of texts) await send(page, text);
  return texts;
}
