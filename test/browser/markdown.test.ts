import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { INJECTIONS } from './injections.ts';
import {
  distanceFromEnd,
  messageTexts,
  scrollTo,
  send,
  sendLines,
  topOf,
  useChat,
  waitForMessage,
  waitForPaint,
} from './page.ts';

const chat = useChat({ publishRate: 'off' });

/** The elements of a message, and the attributes that each may have. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  A: ['href', 'target', 'rel'],
  BLOCKQUOTE: [],
  BUTTON: ['type', 'class'],
  CODE: [],
  DEL: [],
  DIV: ['class', 'dir'],
  EM: [],
  LI: ['value'],
  OL: ['class'],
  P: ['class', 'dir'],
  PRE: ['tabindex', 'role', 'aria-label'],
  SPAN: ['class', 'role'],
  STRONG: [],
  UL: [],
};

/** Records what leaves a page, or interrupts its user. @returns what was found so far */
function watch(page: Page): string[] {
  const found: string[] = [];
  const own = [chat.server().url, chat.server().url.replace('http', 'ws')];
  page.on('request', (request) => {
    if (!own.some((url) => request.url().startsWith(url))) found.push(`request ${request.url()}`);
  });
  page.on('dialog', (dialog) => {
    found.push(`dialog ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('popup', (popup) => found.push(`window ${popup.url()}`));
  return found;
}

/** Returns what messages must not have: other elements, attributes, and links to other places. */
async function inspect(page: Page): Promise<string[]> {
  const elements = await page
    .locator('.text, .text *')
    .evaluateAll((all) => all.map(({ tagName, attributes }) => [tagName, ...[...attributes].map(({ name }) => name)]));
  const links = await page
    .locator('.text a')
    .evaluateAll((all) => (all as HTMLAnchorElement[]).map(({ href, rel }) => ({ href, rel })));
  return [
    ...(elements as [string, ...string[]][]).flatMap(([tag, ...attributes]) => [
      ...(tag in ALLOWED ? [] : [`element ${tag}`]),
      ...attributes.filter((name) => !ALLOWED[tag]?.includes(name)).map((name) => `attribute ${tag} ${name}`),
    ]),
    ...links.flatMap(({ href, rel }) => [
      ...(/^https?:\/\/example\.com(?:[/?#]|$)/.test(href) ? [] : [`link ${href}`]),
      ...(rel === 'noopener noreferrer nofollow ugc' ? [] : [`link with rel "${rel}"`]),
    ]),
  ];
}

test('renders hostile Markdown inert', async () => {
  expect(INJECTIONS.length).toBeGreaterThan(150);
  expect(new Set(INJECTIONS).size).toBe(INJECTIONS.length);
  const page = await chat.newPage();
  const found = watch(page);
  const bob = chat.bot('bob', 'hostile');
  for (const text of INJECTIONS) await bob.send({ text });
  await bob.send({ text: 'the *last*' });
  await page.addInitScript(`localStorage['pumphouse.chat'] ??= JSON.stringify({ name: 'ada' })`);
  await page.goto(`${chat.server().url}/#/hostile`);
  await page.locator('.text em', { hasText: 'last' }).waitFor();
  await page.locator('.log').evaluate((log) => log.scrollTo(0, 0));
  await expect.poll(() => page.locator('.message').count()).toBe(INJECTIONS.length + 1);
  expect(await inspect(page)).toEqual([]);
  expect(await page.locator('.text a').count()).toBeGreaterThan(5);
  for (const control of await page.locator('.text :is(a, pre, button)').all()) await control.hover();
  expect(found).toEqual([]);
  expect(await page.title()).toBe('hostile · Pumphouse');
});

test('notices an injection that a renderer of HTML would let through', async () => {
  const page = await chat.newPage({ bypassCSP: true });
  const found = watch(page);
  await page.route('https://example.com/**', (route) => route.abort());
  const texts = [
    '<img src=x onerror=alert(1)>',
    '<img src=https://example.com/beacon.png>',
    '<a href="javascript:alert(1)">x</a>',
    '<input autofocus onfocus=alert(1)>',
  ];
  for (const text of texts) expect(INJECTIONS).toContain(text);
  for (const text of [...texts, 'last']) await chat.bot('bob', 'planted').send({ text });
  await page.addInitScript(`localStorage['pumphouse.chat'] ??= JSON.stringify({ name: 'ada' })`);
  await page.goto(`${chat.server().url}/#/planted`);
  await waitForMessage(page, 'last');
  expect(await inspect(page)).toEqual([]);
  await page.locator('.text').evaluateAll((all) => {
    for (const text of all) text.innerHTML = text.textContent ?? '';
  });
  const planted = [
    'element IMG',
    'attribute IMG onerror',
    'element INPUT',
    'link javascript:alert(1)',
    'link with rel ""',
  ];
  expect(await inspect(page)).toEqual(expect.arrayContaining(planted));
  await expect
    .poll(() => found)
    .toEqual(expect.arrayContaining(['request https://example.com/beacon.png', 'dialog 1']));
});

test('formats what two people type, and shows where a link leads', async () => {
  const [ada, bob] = await Promise.all([
    chat.openAs('ada', { room: 'format' }),
    chat.openAs('bob', { room: 'format' }),
  ]);
  await send(
    ada,
    'a **bold** and *italic* ~~wrong~~ `x*y*`, [your bank](https://evil.example/login)\n> said\n- one\n- two',
  );
  const text = bob.locator('.rows:not(.unsent) .text');
  await text.locator('strong', { hasText: 'bold' }).waitFor();
  expect(await text.locator('em').textContent()).toBe('italic');
  expect(await text.locator('del').textContent()).toBe('wrong');
  expect(await text.locator('code').textContent()).toBe('x*y*');
  expect(await text.locator('blockquote').textContent()).toBe('said');
  expect(await text.locator('li').allTextContents()).toEqual(['one', 'two']);
  expect(await text.locator('p').first().textContent()).toContain('your bank (evil.example)');
  await send(bob, 'https://example.com/a_b_c and `https://example.com`');
  const link = ada.locator('.text a', { hasText: 'a_b_c' });
  await link.waitFor();
  expect(await ada.locator('.text code a').count()).toBe(0);
});

test('shows code in a box of its own, and copies it', async () => {
  const ada = await chat.openAs('ada', { room: 'code', permissions: ['clipboard-read', 'clipboard-write'] });
  const code = `const long = '${'x'.repeat(300)}';\n  indented();`;
  await chat.bot('bob', 'code').send({ text: `\`\`\`js\n${code}\n\`\`\`` });
  const box = ada.locator('.code-block pre');
  await box.waitFor();
  expect(await box.textContent()).toBe(code);
  expect(await box.evaluate((pre) => pre.scrollWidth > pre.clientWidth)).toBe(true);
  const log = ada.locator('.log');
  expect(await log.evaluate((element) => element.scrollWidth - element.clientWidth)).toBe(0);
  await box.focus();
  await ada.keyboard.press('ArrowRight');
  await expect.poll(() => box.evaluate((pre) => pre.scrollLeft)).toBeGreaterThan(0);
  await ada.getByRole('button', { name: 'Copy code' }).click();
  await ada.getByRole('button', { name: 'Copied' }).waitFor();
  expect(await ada.evaluate('navigator.clipboard.readText()')).toBe(code);
});

test('shows the text until the renderer is loaded, and keeps the scroll position then', async () => {
  const page = await chat.newPage();
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  await page.route(/markdown-[^/]*\.js$/, async (route) => {
    await released;
    await route.continue();
  });
  const bob = chat.bot('bob', 'late');
  for (let line = 0; line < 60; line++) {
    await bob.send({ text: line % 2 ? `plain ${line}` : `\`\`\`\ncode ${line}\n\`\`\`\n- a\n- b\n> c` });
  }
  await page.addInitScript(`localStorage['pumphouse.chat'] ??= JSON.stringify({ name: 'ada' })`);
  await page.goto(`${chat.server().url}/#/late`);
  await waitForMessage(page, 'plain 59');
  expect((await messageTexts(page)).at(-2)).toBe('```\ncode 58\n```\n- a\n- b\n> c');
  await scrollTo(page, 'plain 31');
  const before = await topOf(page, 'plain 31');
  release();
  await page.locator('.code-block').first().waitFor({ state: 'attached' });
  await waitForPaint(page);
  expect(Math.abs((await topOf(page, 'plain 31')) - before)).toBeLessThan(1.5);
  await page.getByRole('button', { name: 'Jump to latest' }).or(page.locator('.log')).first().click();
  await page.reload();
  await page.locator('.code-block').first().waitFor({ state: 'attached' });
  await waitForPaint(page);
  expect(await distanceFromEnd(page)).toBeLessThan(4);
});

test('shows the text if the renderer cannot be loaded', async () => {
  const page = await chat.newPage();
  await page.route(/markdown-[^/]*\.js$/, (route) => route.abort());
  const bob = chat.bot('bob', 'without');
  await bob.send({ text: '**as it was typed**' });
  await sendLines(bob, 'line', 2);
  await page.addInitScript(`localStorage['pumphouse.chat'] ??= JSON.stringify({ name: 'ada' })`);
  await page.goto(`${chat.server().url}/#/without`);
  await waitForMessage(page, 'line 1');
  expect((await messageTexts(page))[0]).toBe('**as it was typed**');
});
