import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 740 };

type Look = readonly [viewport: typeof DESKTOP, colorScheme: 'light' | 'dark'];

/** Each width and each theme. */
const LOOKS: readonly Look[] = [
  [DESKTOP, 'light'],
  [PHONE, 'dark'],
];

/** Each width in each theme. */
export const ALL_LOOKS: readonly Look[] = [...LOOKS, [PHONE, 'light'], [DESKTOP, 'dark']];

/**
 * Checks the state of a page in light and dark, on a desktop and on a phone: axe-core finds no
 * violation, and the page does not scroll sideways.
 */
export async function expectAccessible(page: Page, looks = LOOKS): Promise<void> {
  if (!(await page.evaluate('"axe" in window'))) await page.evaluate(axe);
  for (const [viewport, colorScheme] of looks) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    expect(await violations(page)).toEqual([]);
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0);
  }
  await page.setViewportSize(DESKTOP);
}

async function violations(page: Page): Promise<string[]> {
  const found = await page.evaluate<Violation[]>(
    'axe.run({ resultTypes: ["violations"] }).then(({ violations }) => violations)',
  );
  return found.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
}
