import { conditionsLine } from '../../conditions.ts';
import { grouped } from '../figures.ts';
import { CONTROL, type Results } from '../results.ts';
import { closedCell, labelOf, noiseLine, ofTopology, othersLine, repeats, serverCells } from './cells.ts';
import { ofNodes } from './columns.ts';
import { table, wrapped } from './markdown.ts';

/**
 * @param image embeds a plot by its name.
 * @param hasOwnConditions whether the results were measured apart from those of one node.
 * @returns the parts of the section on several nodes; none without results.
 */
export function nodesSection(
  { conditions, runs }: Results,
  image: (name: string) => string,
  hasOwnConditions: boolean,
): string[] {
  const measured = ofTopology(runs, true);
  const servers = grouped(
    measured.filter(({ server }) => server !== CONTROL),
    ({ server }) => server,
  );
  if (servers.length === 0) return [];
  const place = hasOwnConditions
    ? `Measured on ${conditionsLine(conditions)}, medians of ${repeats(measured)} interleaved runs. `
    : '';
  return [
    '### Two nodes',
    wrapped(
      `${place}Two nodes share a Redis without persistence, with the clients of each room on both: one room of 200 clients, 20 of which send (\`nodes\`), or 100 rooms of 10 (\`nodes-rooms\`). Latency is that across nodes, from when a message was due to its receipt on the other node. CPU per delivery includes Redis. Reordered messages are those that clients of the two nodes received in different orders: a fault in Pumphouse, while Socket.IO does not promise one order. ${noiseLine(measured)}${othersLine(measured)}`,
    ),
    image('latency-nodes'),
    image('cost-nodes'),
    table(
      ['', ...ofNodes.map(({ title }) => title), 'spread', 'closed'],
      servers.map((group) => [labelOf(group), ...serverCells(group, ofNodes), closedCell(group)]),
    ),
  ];
}
