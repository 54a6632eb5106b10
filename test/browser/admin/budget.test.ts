import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ADMIN_PAGE } from '../../../src/admin/application.ts';
import { useChat } from '../page.ts';
import { type ScriptedServer, startScripted } from './scripted.ts';
import { troubledSnapshot } from './snapshots.ts';

const { newPage } = useChat();
let server: ScriptedServer;
beforeAll(async () => {
  server = await startScripted();
});
afterAll(() => server.close());

/** Returns the total size of the files with an ending, in bytes after gzip. */
function compressedSize(ending: string): number {
  const files = readdirSync(`${ADMIN_PAGE}/assets`).filter((file) => file.endsWith(ending));
  expect(files.length).toBeGreaterThan(0);
  return files.reduce((sum, file) => sum + gzipSync(readFileSync(`${ADMIN_PAGE}/assets/${file}`)).length, 0);
}

test('keeps the compressed script below 60 KB and the styles below 6 KB', () => {
  expect(compressedSize('.js')).toBeLessThan(60_000);
  expect(compressedSize('.css')).toBeLessThan(6_000);
});

test('loads only its own files, and has no inline script or style', () => {
  const html = readFileSync(`${ADMIN_PAGE}/index.html`, 'utf8');
  expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|https?:\/\//);
});

test('takes less than 20 ms for a snapshot, and no memory for those of an hour', async () => {
  server.show(troubledSnapshot(1));
  const page = await newPage({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' });
  await page.goto(server.url);
  await page.locator('.verdict').waitFor();
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const measure = async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    return Object.fromEntries(metrics.map(({ name, value }) => [name, value])) as Record<string, number>;
  };
  const showUpTo = async (from: number, to: number) => {
    for (let second = from; second <= to; second++) {
      server.show(troubledSnapshot(second));
      // One at a time, as a frame takes what has come together.
      if (second % 50 === 0 || to - from < 50) {
        const uptime = 60 + second;
        const text =
          uptime < 3600 ? `${Math.floor(uptime / 60)} min ${uptime % 60} s` : `1 h ${Math.floor(uptime / 60) - 60} min`;
        await page.locator('.facts').getByText(text, { exact: true }).waitFor();
      }
    }
  };
  await showUpTo(2, 700);
  const before = await measure();
  await showUpTo(701, 730);
  const after = await measure();
  const perSnapshot = (1000 * ((after['TaskDuration'] ?? 0) - (before['TaskDuration'] ?? 0))) / 30;
  console.log(`a snapshot takes ${perSnapshot.toFixed(1)} ms of the main thread`);
  expect(perSnapshot).toBeLessThan(20);
  expect(await page.locator('[data-panel="rooms"] tbody tr').count()).toBe(50);
});
