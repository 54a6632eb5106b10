import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { readCommitted } from '../../bench/report/readme.ts';
import { writeReport } from '../../bench/report/write.ts';
import { chromium, NO_CHROMIUM } from '../browser/chromium.ts';
import { clusterResult, run } from './runs.ts';

const folder = mkdtempSync(join(tmpdir(), 'pumphouse-page-'));
let browser: Browser | undefined;
let address = '';

beforeAll(async () => {
  browser = await chromium();
  if (!browser) return;
  const { conditions, runs } = readCommitted().comparison;
  // The widest cells: a server that could not be measured, with a long name and a fault.
  const url = { server: 'chat.a-department.example.org:8443', hasUsage: false, sound: false };
  const nodes = { load: { nodes: 2 }, cluster: clusterResult(0.123, false) };
  const ofNodes = ['pumphouse on ws', 'socket.io streams'].map((server) => run('nodes', { ...nodes, server }));
  const all = [...runs, run('chat', url), run('ordinary', url), ...ofNodes, run('nodes', { ...url, ...nodes })];
  address = pathToFileURL(await writeReport(folder, { conditions, runs: all, missing: [] })).href;
});
beforeEach((context) => context.skip(!browser, NO_CHROMIUM));
afterEach(async () => {
  await Promise.all(browser?.contexts().map((context) => context.close()) ?? []);
});
afterAll(() => rmSync(folder, { recursive: true }));

async function open(width: number, colorScheme: 'light' | 'dark'): Promise<Page> {
  const page = (await browser?.newPage({ viewport: { width, height: 800 }, colorScheme })) as Page;
  await page.goto(address);
  return page;
}

interface Region {
  readonly label: string;
  readonly overflows: boolean;
  /** Whether its hint is visible in the window. */
  readonly hint: boolean;
  /** Whether it lies within the window. */
  readonly inPage: boolean;
}

/** @returns the state of each scrollable region. The script is text: tests have no DOM types. */
const regions = (page: Page) =>
  page.evaluate<Region[]>(`[...document.querySelectorAll('.scroll')].map((scroll) => {
    const hint = scroll.previousElementSibling;
    const [text, box] = [hint.getBoundingClientRect(), scroll.getBoundingClientRect()];
    const fits = ({ left, right }) => left >= 0 && right <= innerWidth;
    return {
      label: scroll.getAttribute('aria-label'),
      overflows: scroll.scrollWidth > scroll.clientWidth,
      hint: getComputedStyle(hint).visibility === 'visible' && text.height > 10 && fits(text),
      inPage: fits(box),
    };
  })`);

const schemes = ['light', 'dark'] as const;

test.each(schemes)('shows every column of every table at 1280 px, %s', async (scheme) => {
  const page = await open(1280, scheme);
  const all = await regions(page);
  expect(all.length).toBeGreaterThan(12);
  expect(all.filter(({ overflows, hint, inPage }) => overflows || hint || !inPage)).toEqual([]);
  for (const audit of await page.getByRole('columnheader', { name: 'audit' }).all()) {
    const box = await audit.boundingBox();
    expect((box?.x ?? 1280) + (box?.width ?? 0)).toBeLessThanOrEqual(1280);
  }
  await page.close();
});

test.each(schemes)('scrolls with a visible hint on a phone, to the last column, %s', async (scheme) => {
  const page = await open(390, scheme);
  const all = await regions(page);
  expect(all.filter(({ overflows, hint, inPage }) => !overflows || !hint || !inPage)).toEqual([]);
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
  const region = page.getByRole('region', { name: 'Figures of chat' });
  await region.focus();
  await region.evaluate((scroll) => scroll.scrollTo({ left: scroll.scrollWidth, behavior: 'instant' }));
  const right = async (name: string) => {
    const box = await region.getByRole('columnheader', { name }).boundingBox();
    return (box?.x ?? 1000) + (box?.width ?? 0);
  };
  expect(await right('audit')).toBeLessThanOrEqual(390);
  // The names stay beside the figures.
  const name = await region.getByRole('rowheader', { name: 'socket.io', exact: true }).boundingBox();
  expect(name?.x).toBeGreaterThanOrEqual(0);
  expect(await region.getByRole('rowheader').first().textContent()).toBe('pumphouse');
  await page.close();
});

test.each(schemes)('shows the hint at each width at which a table overflows, and only there, %s', async (scheme) => {
  const page = await open(1600, scheme);
  for (const width of [1600, 1240, 1100, 900, 640, 320]) {
    await page.setViewportSize({ width, height: 800 });
    await page.evaluate('new Promise(requestAnimationFrame)');
    for (const { label, overflows, hint } of await regions(page))
      expect([width, label, hint]).toEqual([width, label, overflows]);
  }
  await page.close();
});
