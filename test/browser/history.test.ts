import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chatter, frames, fromBottom, said, say, scrollTo, shows, top, useChat } from './page.ts';

/** What a page shows at most. */
const KEEP = 300;
const LONG = 10_000;

const folder = mkdtempSync(join(tmpdir(), 'pumphouse-history-'));
const chat = useChat(['--publish-rate', 'off', '--engine', 'lmdb', '--data', join(folder, 'data')]);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const rows = (page: Awaited<ReturnType<typeof chat.tab>>) => page.locator('.rows > li').count();

describe('a room with 10,000 messages', () => {
  beforeAll(async () => {
    if (!chat.server()) return;
    const bob = chat.program('bob', 'long');
    await chatter(bob, 'line', LONG);
  }, 60_000);

  test('opens at the newest, and older ones come as one scrolls up, without a jump', async () => {
    const page = await chat.person('ada', { room: 'long' });
    await shows(page, `line ${LONG - 1}`);
    expect(await fromBottom(page)).toBeLessThan(4);
    expect((await said(page)).length).toBe(100);
    // Each time the first that is there is looked at, until a thousand are behind.
    for (let first = LONG - 100; first > LONG - 1_000; first -= 100) {
      await scrollTo(page, `line ${first}`);
      const before = await top(page, `line ${first}`);
      await page
        .locator('.text')
        .getByText(`line ${first - 100}`, { exact: true })
        .waitFor({ state: 'attached' });
      await frames(page);
      expect(Math.abs((await top(page, `line ${first}`)) - before)).toBeLessThan(1.5);
      expect(await rows(page)).toBeLessThanOrEqual(KEEP + 5);
    }
    const shown = (await said(page)).map((text) => Number(text.slice(5)));
    expect(shown.every((line, at) => at === 0 || line === (shown[at - 1] as number) + 1)).toBe(true);
    expect(shown.at(-1)).toBeLessThan(LONG - 500);

    await page.getByRole('button', { name: 'Jump to latest' }).click();
    await shows(page, `line ${LONG - 1}`);
    expect(await fromBottom(page)).toBeLessThan(4);
  });

  test('one comes to its beginning by going on, and back by scrolling down', async () => {
    const page = await chat.person('ada', { room: 'long' });
    await shows(page, `line ${LONG - 1}`);
    await page.evaluate(`new Promise((done) => {
      const up = () => {
        document.querySelector('.log').scrollTop = 0;
        if (document.body.textContent.includes('This is where the room begins')) done();
        else requestAnimationFrame(up);
      };
      up();
    })`);
    expect((await said(page))[0]).toBe('line 0');
    expect(await rows(page)).toBeLessThanOrEqual(KEEP + 5);
    for (let wheel = 0; wheel < 5; wheel++) {
      const last = (await said(page)).at(-1) as string;
      await scrollTo(page, last);
      const next = `line ${Number(last.slice(5)) + 1}`;
      await page.locator('.text').getByText(next, { exact: true }).waitFor({ state: 'attached' });
    }
    expect((await said(page))[0]).not.toBe('line 0');
    await say(page, 'from far back');
    await shows(page, 'from far back');
    expect(await fromBottom(page)).toBeLessThan(4);
  });
});

test('what comes while one reads back moves nothing, and is counted; nor does what leaves', async () => {
  const page = await chat.person('ada', { room: 'busy' });
  const bob = chat.program('bob', 'busy');
  await chatter(bob, 'old', 150);
  await shows(page, 'old 149');
  await scrollTo(page, 'old 100');
  const before = await top(page, 'old 100');
  await chatter(bob, 'new', 120);
  await page.getByRole('button', { name: '120 new messages' }).waitFor();
  await chatter(bob, 'newer', 400);
  const jump = page.getByRole('button', { name: '520 new messages' });
  await jump.waitFor();
  await frames(page);
  expect(Math.abs((await top(page, 'old 100')) - before)).toBeLessThan(1.5);
  expect(await rows(page)).toBeLessThanOrEqual(KEEP + 5);
  expect(await page.locator('.text').getByText('new 10', { exact: true }).count()).toBe(1);
  await jump.click();
  expect((await said(page)).at(-1)).toBe('newer 399');
  expect(await fromBottom(page)).toBeLessThan(4);
  expect(await jump.isVisible()).toBe(false);
  expect(await page.evaluate('document.activeElement.id')).toBe('input');
});

test('someone who reads back finds all that came meanwhile by scrolling down', async () => {
  const page = await chat.person('ada', { room: 'catching up' });
  const bob = chat.program('bob', 'catching up');
  await chatter(bob, 'line', 150);
  await shows(page, 'line 149');
  await scrollTo(page, 'line 20');
  await bob.send({ text: 'the 150th' });
  await page.getByRole('button', { name: '1 new message' }).waitFor();
  await chatter(bob, 'later', 900);
  const seen = new Set<string>();
  await expect
    .poll(
      async () => {
        const texts = await said(page);
        for (const text of texts) seen.add(text);
        await scrollTo(page, texts.at(-1) as string);
        return seen.has('later 899') && (await fromBottom(page)) < 4;
      },
      { timeout: 30_000, interval: 10 },
    )
    .toBe(true);
  expect(seen.size).toBe(150 + 1 + 900);
});

test('a screen reader is told what is new, once, and nothing that is loaded or shown again', async () => {
  const page = await chat.tab();
  await page.addInitScript(`
    window.told = [];
    new MutationObserver((changes) => {
      for (const { target, addedNodes } of changes) {
        const region = (target.closest ? target : target.parentElement)?.closest('[aria-live], [role=status], [role=log], [role=alert]');
        const quiet = region?.getAttribute('aria-live') === 'off';
        for (const node of addedNodes) if (region && !quiet && node.nodeName === 'P') told.push(node.textContent);
      }
    }).observe(document, { childList: true, subtree: true });
  `);
  const bob = chat.program('bob', 'read out');
  await chatter(bob, 'old', 120);
  await page.goto(`${chat.server().url}/#/read out`);
  await page.getByLabel('What should others call you?').fill('ada');
  await page.keyboard.press('Enter');
  await shows(page, 'old 119');
  await bob.send({ text: 'are you there?' });
  await expect.poll(() => page.evaluate('told')).toEqual(['bob: are you there?']);
  await scrollTo(page, 'old 20');
  await page.locator('.text').getByText('old 0', { exact: true }).waitFor({ state: 'attached' });
  await page.getByRole('button', { name: 'Jump to latest' }).or(page.locator('.log')).first().click();
  await chatter(bob, 'many', 10);
  await expect.poll(() => page.evaluate<string[]>('told')).toHaveLength(2);
  expect((await page.evaluate<string[]>('told'))[1]).toMatch(/^\d+ new messages, the last of bob$/);
});
