import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DrawnPlot, page } from './page.ts';
import { plotsOf } from './plots.ts';
import { ratesOf } from './rates.ts';
import type { Results } from './results.ts';
import { draw } from './svg.ts';

/**
 * Writes a page with plots, each plot as an SVG file, and the results as JSON.
 *
 * @returns the path of the page.
 */
export async function writeReport(folder: string, results: Results): Promise<string> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'results.json'), serialize(results));
  const plots = plotsOf(results.runs);
  const svgs = await draw(plots.map(({ spec }) => spec));
  const drawn = plots.map((plot, i): DrawnPlot => ({ plot, svg: svgs[i] as string }));
  for (const { plot, svg } of drawn) writeFileSync(join(folder, `${plot.name}.svg`), svg);
  const path = join(folder, 'index.html');
  writeFileSync(path, page(results, drawn));
  return path;
}

/**
 * Reads results. Rates are derived again, so that those of an earlier version follow today's rules.
 *
 * @throws Error if the file cannot be read or holds something else.
 */
export function readResults(path: string): Results {
  const results = JSON.parse(readFileSync(path, 'utf8')) as Partial<Results>;
  if (!results.conditions || !Array.isArray(results.runs))
    throw new Error(`${path} holds no results of pumphouse bench`);
  const { conditions, missing = [] } = results;
  const runs = results.runs.map((run) => ({ ...run, rates: ratesOf(run.result, run.load.clients + run.load.slow) }));
  return { conditions, runs, missing };
}

/** One run per line, so that diffs are readable. */
function serialize({ conditions, missing, runs }: Results): string {
  const lines = runs.map((run) => JSON.stringify(run)).join(',\n');
  return `{"conditions":${JSON.stringify(conditions)},\n"missing":${JSON.stringify(missing)},\n"runs":[\n${lines}\n]}\n`;
}
