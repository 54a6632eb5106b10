import { conditionsLine } from '../../conditions.ts';
import { shapes } from '../../cores.ts';
import { coresNotes, coresTable, pointsOf } from '../cores.ts';
import type { Results } from '../results.ts';
import { repeats } from './cells.ts';
import { table, wrapped } from './markdown.ts';

/**
 * @param image embeds a plot by its name, or returns undefined if the runs do not have it.
 * @returns the parts of the section on cores; none without results.
 */
export function coresSection({ conditions, runs }: Results, image: (name: string) => string | undefined): string[] {
  if (pointsOf(runs).length === 0) return [];
  const { head, rows } = coresTable(runs);
  const plot = image('cores');
  return [
    '### Cores',
    wrapped(
      `Deliveries per second against the number of worker threads (\`npm run bench -- cores\`), measured on ${conditionsLine(conditions)}, medians of ${repeats(runs)} runs. ${shapes.map(({ name, about }) => `\`${name}\`: ${about}.`).join(' ')} ${coresNotes(runs).join(' ')}`,
    ),
    ...(plot === undefined ? [] : [plot]),
    table(head, rows),
  ];
}
