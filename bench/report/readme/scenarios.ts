import type { Run } from '../../run.ts';
import { scenarios } from '../../scenarios.ts';
import { type Column, columns, medianOf } from '../columns.ts';
import { spreadCell } from './cells.ts';

const { deliveries, p50, p99, memory, perConnection, crossing99 } = columns;

/** The figures that only one scenario has. */
const specialColumns: Readonly<Record<string, { readonly column: Column; readonly suffix: string }>> = {
  idle: { column: perConnection, suffix: 'each' },
  storm: { column: columns.connects, suffix: 'per second' },
  recover: { column: columns.recovery, suffix: 'for all' },
  nodes: { column: crossing99, suffix: 'across nodes (p99)' },
  'nodes-rooms': { column: crossing99, suffix: 'across nodes (p99)' },
};

/** @returns the row of one scenario in the table of all. */
export function scenarioRow(runs: readonly Run[]): string[] {
  const name = runs[0]?.scenario ?? '';
  const selected = [deliveries, p50, p99, memory];
  const own = specialColumns[name];
  const spread = spreadCell([...selected, ...(own ? [own.column] : [])].map((column) => ({ column, runs })));
  const cells = [...selected.map((column) => medianOf(runs, column)), spread];
  return [`\`${name}\``, ...cells, descriptionOf(name, runs)];
}

/** @returns what a scenario measures, with the figure that only this scenario has. */
function descriptionOf(name: string, runs: readonly Run[]): string {
  const about = scenarios.find((scenario) => scenario.name === name)?.about ?? '';
  const special = specialColumns[name];
  return special ? `${about}: **${medianOf(runs, special.column)} ${special.suffix}**` : about;
}
