import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Drawn, page } from './page.ts';
import { plotsOf } from './plots.ts';
import type { Results } from './results.ts';
import { draw } from './svg.ts';

/** Writes a page with its plots, each plot by itself, and the figures they are made from. @returns the page's path. */
export async function writeReport(folder: string, results: Results): Promise<string> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'results.json'), written(results));
  const plots = plotsOf(results.runs);
  const pictures = await draw(plots.map(({ spec }) => spec));
  const drawn = plots.map((plot, i): Drawn => ({ plot, svg: pictures[i] as string }));
  for (const { plot, svg } of drawn) writeFileSync(join(folder, `${plot.name}.svg`), svg);
  const path = join(folder, 'index.html');
  writeFileSync(path, page(results, drawn));
  return path;
}

/** @throws Error for a file that is not there, or holds something else. */
export function readResults(path: string): Results {
  const results = JSON.parse(readFileSync(path, 'utf8')) as Partial<Results>;
  if (!results.conditions || !Array.isArray(results.runs)) throw new Error(`${path} holds no results of a benchmark`);
  return { missing: [], ...results } as Results;
}

/** A run a line, so that changes can be read. */
function written({ conditions, missing, runs }: Results): string {
  const lines = runs.map((run) => JSON.stringify(run)).join(',\n');
  return `{"conditions":${JSON.stringify(conditions)},\n"missing":${JSON.stringify(missing)},\n"runs":[\n${lines}\n]}\n`;
}
