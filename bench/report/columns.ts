import type { Run } from '../run.ts';
import { kibi, mebi, percent, precisePercent, smallPercent, time, whole } from './figures.ts';
import { reorderedShare } from './rates.ts';
import type { Figure } from './results.ts';
import { isRough, spreadOf } from './spread.ts';

/** A figure of a table: its value, its unit, and whether the runs could measure it. */
export interface Column {
  readonly title: string;
  readonly figure: Figure;
  readonly write: (value: number) => string;
  /**
   * Whether a run measured what the figure is derived from. A figure that was measured but does not
   * apply, such as CPU time per delivery without a delivery, is shown as `–`.
   *
   * @default every run
   */
  readonly isMeasured?: (run: Run) => boolean;
  /** Whether the figure is a count, which has no spread to mark. @default false */
  readonly isCount?: boolean;
}

export const NOT_MEASURED = 'not measured';

const NOT_APPLICABLE = '–';

const hasUsage = ({ result }: Run) => result.server !== undefined;
const hasCost = (run: Run) => hasUsage(run) && (!hasNodes(run) || run.result.cluster?.redis !== undefined);
/** Whether a run had several nodes. Earlier results have one. */
export const hasNodes = ({ load }: Run) => (load.nodes ?? 1) > 1;

/** The columns of all tables. Each table selects some of them. */
export const columns = {
  deliveries: {
    title: 'deliveries/s',
    figure: ({ rates }) => rates.deliveriesPerSecond || undefined,
    write: whole,
  },
  cpu: { title: 'CPU', figure: ({ rates }) => rates.serverBusy, write: percent, isMeasured: hasUsage },
  userCpu: {
    title: 'user CPU',
    figure: ({ rates }) => rates.serverUserBusy,
    write: percent,
    isMeasured: ({ rates }) => rates.serverUserBusy !== undefined,
  },
  redisCpu: {
    title: 'Redis CPU',
    figure: ({ rates }) => rates.redisBusy,
    write: smallPercent,
    isMeasured: (run) => !hasNodes(run) || run.rates.redisBusy !== undefined,
  },
  perCpuSecond: {
    title: 'per CPU s',
    figure: ({ rates }) => rates.deliveriesPerCpuSecond,
    write: whole,
    isMeasured: hasCost,
  },
  cpuPerDelivery: {
    title: 'CPU per delivery',
    figure: ({ rates }) => rates.microsPerDelivery,
    write: (micros) => `${micros.toFixed(2)} µs`,
    isMeasured: hasCost,
  },
  p50: { title: 'p50', figure: ({ result }) => result.roundTrip.p50 || undefined, write: time },
  p99: { title: 'p99', figure: ({ result }) => result.roundTrip.p99 || undefined, write: time },
  p999: { title: 'p99.9', figure: ({ result }) => result.roundTrip.p999 || undefined, write: time },
  crossing50: { title: 'p50 across', figure: ({ result }) => result.cluster?.crossing.p50 || undefined, write: time },
  crossing99: { title: 'p99 across', figure: ({ result }) => result.cluster?.crossing.p99 || undefined, write: time },
  reordered: {
    title: 'reordered',
    figure: ({ result }) => reorderedShare(result),
    write: precisePercent,
    isCount: true,
  },
  connects: { title: 'connects/s', figure: ({ rates }) => rates.connectionsPerSecond, write: whole },
  memory: {
    title: 'memory',
    figure: ({ result }) => result.server?.memory.most,
    write: mebi,
    isMeasured: ({ result }) => result.server?.memory.most !== undefined,
  },
  perConnection: {
    title: 'per connection',
    figure: ({ rates }) => rates.bytesPerConnection,
    write: kibi,
    isMeasured: ({ rates }) => rates.bytesPerConnection !== undefined,
  },
  recovery: {
    title: 'recovery',
    figure: ({ result }) => result.recoverySeconds,
    write: (seconds) => `${seconds.toFixed(1)} s`,
  },
  closed: { title: 'closed', figure: closedIn, write: whole, isCount: true },
} as const satisfies Record<string, Column>;

/** Formats the median of some runs, marked with `≈` if it is rough. */
export function cellOf(runs: readonly Run[], column: Column): string {
  const text = medianOf(runs, column);
  const isMarked = !column.isCount && !text.startsWith('<') && isRough(runs.map(column.figure));
  return `${isMarked ? '≈ ' : ''}${text}`;
}

/** Formats the median of some runs. */
export function medianOf(runs: readonly Run[], { figure, write, isMeasured }: Column): string {
  const spread = spreadOf(runs.map(figure));
  if (spread) return write(spread.median);
  return runs.some((run) => isMeasured?.(run) ?? true) ? NOT_APPLICABLE : NOT_MEASURED;
}

/** @returns how many clients the server closed in a run. */
export function closedIn({ result }: Run): number {
  return Object.values(result.closes).reduce((sum, count) => sum + count, 0);
}
