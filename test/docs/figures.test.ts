import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { plotsOf } from '../../bench/report/plots.ts';
import { COMPARISON, figures, SCENARIOS, withFigures } from '../../bench/report/readme.ts';
import { draw } from '../../bench/report/svg.ts';
import { readResults } from '../../bench/report/write.ts';

const [comparison, own] = [readResults(COMPARISON), readResults(SCENARIOS)];

test('the figures of the README are those of the committed results', () => {
  const readme = readFileSync('README.md', 'utf8');
  expect(withFigures(readme, figures(comparison, own)) === readme).toBe(true);
});

test('so are its plots', async () => {
  const plots = plotsOf(comparison.runs);
  const drawn = await draw(plots.map(({ spec }) => spec));
  for (const [i, { name }] of plots.entries()) {
    expect(readFileSync(`bench/results/${name}.svg`, 'utf8') === drawn[i]).toBe(true);
  }
});

test('the committed results say where they come from, and what of Pumphouse is in them is sound', () => {
  for (const { conditions, runs } of [comparison, own]) {
    expect(conditions).toMatchObject({
      cpu: expect.any(String),
      commit: expect.any(String),
      kernel: expect.any(String),
    });
    expect(runs.filter(({ server, sound }) => server.startsWith('pumphouse') && !sound)).toEqual([]);
  }
});
