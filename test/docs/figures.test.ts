import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { figures, readCommitted, readmePlots, withFigures } from '../../bench/report/readme.ts';
import { draw } from '../../bench/report/svg.ts';

const committed = readCommitted();

test('the README contains the figures of the committed results', () => {
  const readme = readFileSync('README.md', 'utf8');
  expect(withFigures(readme, figures(committed)) === readme).toBe(true);
});

test('the committed plots are those of the committed results', async () => {
  const plots = readmePlots(committed);
  const drawn = await draw(plots.map(({ spec }) => spec));
  for (const [i, { name }] of plots.entries()) {
    expect(readFileSync(`bench/results/${name}.svg`, 'utf8') === drawn[i]).toBe(true);
  }
});

const { comparison, alone, nodes, cores } = committed;
const everyFile = [comparison, alone, nodes, cores].filter((results) => results !== undefined);

test('the committed results name their conditions, and those of Pumphouse are sound', () => {
  for (const { conditions, runs } of everyFile) {
    expect(conditions).toMatchObject({
      cpu: expect.any(String),
      commit: expect.any(String),
      kernel: expect.any(String),
    });
    expect(runs.filter(({ server, sound }) => server.startsWith('pumphouse') && !sound)).toEqual([]);
  }
});
