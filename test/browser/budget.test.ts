import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { CHAT } from '../../src/http/routes.ts';
import { chatter, shows, stands, useChat } from './page.ts';

const chat = useChat(['--publish-rate', 'off']);

/** Bytes of a kind of files, as they go over the wire compressed. */
function sizes(pattern: RegExp): number {
  const files = readdirSync(`${CHAT}/assets`).filter((file) => pattern.test(file));
  expect(files.length).toBeGreaterThan(0);
  return files.reduce((sum, file) => sum + gzipSync(readFileSync(`${CHAT}/assets/${file}`), { level: 9 }).length, 0);
}

test('the script is at most 20 KB, and the client library beside it 6 KB', () => {
  expect(sizes(/^(?!client-).*\.js$/)).toBeLessThanOrEqual(20 * 1024);
  expect(sizes(/^client-.*\.js$/)).toBeLessThanOrEqual(6 * 1024);
  expect(sizes(/\.css$/)).toBeLessThanOrEqual(4 * 1024);
});

test('the page asks for nothing but its own files, and none of it is inline', () => {
  const html = readFileSync(`${CHAT}/index.html`, 'utf8');
  expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|https?:\/\//);
});

test('something is painted within a second, and nothing moves when the rest comes', async () => {
  await chatter(chat.program('bob', 'lobby'), 'line', 150);
  const page = await chat.tab();
  await page.addInitScript(`
    localStorage['pumphouse.chat'] ??= JSON.stringify({ name: 'ada' });
    window.shift = 0;
    new PerformanceObserver((list) => { for (const entry of list.getEntries()) shift += entry.value }).observe({ type: 'layout-shift', buffered: true });
  `);
  const paints: number[] = [];
  for (let visit = 0; visit < 3; visit++) {
    await page.goto(`${chat.server().url}/?${visit}`);
    await stands(page, 'Live');
    await shows(page, 'line 149');
    const paint = `performance.getEntriesByName('first-contentful-paint')[0]?.startTime`;
    await page.waitForFunction(paint);
    paints.push(await page.evaluate<number>(paint));
    expect(await page.evaluate('shift')).toBeLessThan(0.01);
  }
  expect(paints.sort((a, b) => a - b)[1]).toBeLessThan(1_000);
});
