import type { Run } from '../../run.ts';
import { closedIn } from '../columns.ts';
import { grouped, percent } from '../figures.ts';
import { noiseOf, PUMPHOUSE } from '../results.ts';
import { spreadOf } from '../spread.ts';
import { FLOOR, ofTopology } from './cells.ts';
import { ofNodes, ordinaryColumns, saturation } from './columns.ts';
import { listOf, wrapped } from './markdown.ts';

/**
 * Lists where other servers are ahead of Pumphouse by more than the noise of the figure. Runs with
 * faults or closed clients do not count, since a server that does less work is faster.
 */
export function aheadOf(runs: readonly Run[]): string {
  const lines: string[] = [];
  const notAhead: string[] = [];
  const valid = runs.filter((run) => run.sound && closedIn(run) === 0);
  for (const { scenario, figure, write, comparison } of [...ordinaryColumns(runs), ...saturation, ...ofNodes]) {
    if (!comparison) continue;
    const several = scenario.startsWith('nodes');
    const noise = noiseOf(ofTopology(runs, several), figure) ?? 0;
    const medians = grouped(
      valid.filter((run) => run.scenario === scenario),
      ({ server }) => server,
    ).map((group) => ({ server: group[0]?.server ?? '', median: spreadOf(group.map(figure))?.median }));
    const reference = medians.find(({ server }) => server === PUMPHOUSE)?.median;
    if (reference === undefined) continue;
    const ahead = medians.flatMap(({ server, median }) => {
      if (median === undefined || server.startsWith(PUMPHOUSE) || server === FLOOR) return [];
      const lead = comparison.better === 'lower' ? 1 - median / reference : median / reference - 1;
      return lead > noise ? [{ server, median, lead }] : [];
    });
    if (ahead.length === 0) notAhead.push(`${comparison.name} (noise ${percent(noise)})`);
    else {
      const names = ahead
        .sort((a, b) => b.lead - a.lead)
        .map(({ server, median, lead }) => `${server} with ${write(median)} (${percent(lead)} ${comparison.better})`);
      lines.push(
        `- ${comparison.name}, ${write(reference)} on Pumphouse (noise ${percent(noise)}): ${listOf(names, 'and')}.`,
      );
    }
  }
  const intro =
    lines.length > 0
      ? 'Other servers are ahead of Pumphouse in these figures. Differences below the noise, the largest difference between two measurements of Pumphouse itself, are left out.'
      : '';
  const rest = notAhead.length > 0 ? `No server is ahead by more than the noise in ${listOf(notAhead, 'or')}.` : '';
  return [wrapped(intro), lines.map((line) => wrapped(line, '  ')).join('\n'), wrapped(rest)]
    .filter((part) => part !== '')
    .join('\n\n');
}
