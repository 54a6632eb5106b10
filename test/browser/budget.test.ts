import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { CHAT } from '../../src/http/routes.ts';
import { sendLines, useChat, waitForMessage, waitForStatus } from './page.ts';

const chat = useChat(['--publish-rate', 'off']);

function gzippedSize(file: string): number {
  return gzipSync(readFileSync(`${CHAT}/${file}`), { level: 9 }).length;
}

/** Returns the total size of the matching assets, in bytes after gzip. */
function compressedSize(pattern: RegExp): number {
  const files = readdirSync(`${CHAT}/assets`).filter((file) => pattern.test(file));
  expect(files.length).toBeGreaterThan(0);
  return files.reduce((sum, file) => sum + gzippedSize(`assets/${file}`), 0);
}

/** The files that the page loads first, relative to its folder. */
function firstFiles(): string[] {
  const html = readFileSync(`${CHAT}/index.html`, 'utf8');
  return [...html.matchAll(/(?:src|href)="\.\/(assets\/[^"]+\.(?:js|css))"/g)].map(([, file]) => file as string);
}

/** Matches the scripts that are loaded when they are first used. */
const LATER =
  /^assets\/(?:markdown|emoji|completion-list|message-|archive|credentials|notification|unread-mentions|outgoing-changes|reread|overlay-dialogs|worker-registration|fallback|report)/;

test('keeps the compressed script below 32 KB, the client library below 6 KB, all that loads first below 40 KB and its styles below 4 KB', () => {
  const sizeOf = (pattern: RegExp) =>
    firstFiles()
      .filter((file) => pattern.test(file))
      .reduce((sum, file) => sum + gzippedSize(file), 0);
  expect(sizeOf(/^assets\/(?!client-).*\.js$/)).toBeLessThanOrEqual(32 * 1024);
  expect(sizeOf(/^assets\/client-.*\.js$/)).toBeLessThanOrEqual(6 * 1024);
  expect(sizeOf(/\.js$/)).toBeLessThanOrEqual(40 * 1024);
  expect(sizeOf(/\.css$/)).toBeLessThanOrEqual(4 * 1024);
});

test('loads the rest when it is first used: Markdown, emoji, completion, actions, changes and dialogs', async () => {
  const scripts = firstFiles().filter((file) => file.endsWith('.js'));
  for (const file of scripts) expect(file).not.toMatch(LATER);
  const page = await chat.newPage();
  const requests: string[] = [];
  page.on('request', (request) => requests.push(new URL(request.url()).pathname.slice(1)));
  await chat.bot('bob', 'first load').send({ text: 'plain text' });
  await page.addInitScript(`localStorage['pumphouse.chat'] ??= JSON.stringify({ name: 'ada' })`);
  await page.goto(`${chat.server().url}/#/${encodeURIComponent('first load')}`);
  await waitForMessage(page, 'plain text');
  expect(requests.filter((path) => path.endsWith('.js')).sort()).toEqual(scripts.sort());
  expect(compressedSize(/^fallback-.*\.js$/)).toBeLessThanOrEqual(4 * 1024);
  expect(compressedSize(/^report-.*\.js$/)).toBeLessThanOrEqual(512);
  expect(compressedSize(/^markdown-.*\.js$/)).toBeLessThanOrEqual(20 * 1024);
});

test('loads only its own files, and has no inline script or style', () => {
  const html = readFileSync(`${CHAT}/index.html`, 'utf8');
  expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|https?:\/\//);
});

test('paints within a second, without layout shift', async () => {
  await sendLines(chat.bot('bob', 'lobby'), 'line', 150);
  const page = await chat.newPage();
  await page.addInitScript(`
    localStorage['pumphouse.chat'] ??= JSON.stringify({ name: 'ada' });
    window.shift = 0;
    new PerformanceObserver((list) => { for (const entry of list.getEntries()) shift += entry.value }).observe({ type: 'layout-shift', buffered: true });
  `);
  const paints: number[] = [];
  for (let visit = 0; visit < 3; visit++) {
    await page.goto(`${chat.server().url}/?${visit}`);
    await waitForStatus(page, 'Live');
    await waitForMessage(page, 'line 149');
    const paint = `performance.getEntriesByName('first-contentful-paint')[0]?.startTime`;
    await page.waitForFunction(paint);
    paints.push(await page.evaluate<number>(paint));
    expect(await page.evaluate('shift')).toBeLessThan(0.01);
  }
  expect(paints.sort((a, b) => a - b)[1]).toBeLessThan(1_000);
});
