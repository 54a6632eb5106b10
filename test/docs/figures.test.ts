import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { plotsOf } from '../../bench/report/plots.ts';
import { COMPARISON, figures, SCENARIOS, withFigures } from '../../bench/report/readme.ts';
import { draw } from '../../bench/report/svg.ts';
import { readResults } from '../../bench/report/write.ts';

const [comparison, alone] = [readResults(COMPARISON), readResults(SCENARIOS)];

test('the README contains the figures of the committed results', () => {
  const readme = readFileSync('README.md', 'utf8');
  expect(withFigures(readme, figures(comparison, alone)) === readme).toBe(true);
});

test('the committed plots are those of the committed results', async () => {
  const plots = plotsOf(comparison.runs);
  const drawn = await draw(plots.map(({ spec }) => spec));
  for (const [i, { name }] of plots.entries()) {
    expect(readFileSync(`bench/results/${name}.svg`, 'utf8') === drawn[i]).toBe(true);
  }
});

test('the committed results name their conditions, and those of Pumphouse are sound', () => {
  for (const { conditions, runs } of [comparison, alone]) {
    expect(conditions).toMatchObject({
      cpu: expect.any(String),
      commit: expect.any(String),
      kernel: expect.any(String),
    });
    expect(runs.filter(({ server, sound }) => server.startsWith('pumphouse') && !sound)).toEqual([]);
  }
});
