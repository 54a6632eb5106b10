import type { Run } from '../../run.ts';
import { type Column, columns } from '../columns.ts';

const { deliveries, cpu, userCpu, cpuPerDelivery, p50, p99, perConnection } = columns;
const { redisCpu, crossing50, crossing99, reordered } = columns;

/** A column of a table of servers. */
export interface ServerColumn extends Column {
  readonly scenario: string;
  /** How to compare servers by this figure; undefined if it is for information only. */
  readonly comparison?: { readonly name: string; readonly better: 'higher' | 'lower' };
}

/** An ordinary load. Results from before the scenario `ordinary` have `open-loop` alone. */
export interface OrdinaryLoad {
  readonly scenario: string;
  readonly plot: string;
  readonly about: string;
}

const ROUND_TRIP =
  'A round trip counts from when the message was due, so that it includes any delay in the sender. Server CPU is a share of one core';

const ordinaryLoads: readonly OrdinaryLoad[] = [
  {
    scenario: 'ordinary',
    plot: 'latency-ordinary',
    about: `A room of 100 clients receives 1,000 messages per second, which 10 of them send at fixed times (\`ordinary\`). Pumphouse speaks \`pumphouse.v1\` and stores each message on disk before it delivers it; the other servers store nothing. ${ROUND_TRIP}, user CPU the part of it outside the kernel.`,
  },
  {
    scenario: 'open-loop',
    plot: 'latency',
    about: `A room of 100 clients receives 1,000 messages per second, sent at fixed times (\`open-loop\`). ${ROUND_TRIP}.`,
  },
];

export function ordinaryLoadOf(runs: readonly Run[]): OrdinaryLoad {
  const measured = ordinaryLoads.find(({ scenario }) => runs.some((run) => run.scenario === scenario));
  return measured ?? (ordinaryLoads[0] as OrdinaryLoad);
}

export function ordinaryColumns(runs: readonly Run[]): readonly ServerColumn[] {
  const { scenario } = ordinaryLoadOf(runs);
  const hasUserCpu = runs.some((run) => run.scenario === scenario && userCpu.isMeasured(run));
  return [
    { ...deliveries, scenario },
    { ...p50, scenario, comparison: { name: 'p50 at the ordinary load', better: 'lower' } },
    { ...p99, scenario, comparison: { name: 'p99 at the ordinary load', better: 'lower' } },
    { ...cpu, title: 'server CPU', scenario },
    ...(hasUserCpu ? [{ ...userCpu, scenario }] : []),
    {
      ...cpuPerDelivery,
      scenario,
      comparison: { name: 'CPU time per delivery at the ordinary load', better: 'lower' },
    },
  ];
}

export const saturation: readonly ServerColumn[] = [
  {
    ...deliveries,
    title: 'chat: deliveries/s',
    scenario: 'chat',
    comparison: { name: 'deliveries per second at saturation', better: 'higher' },
  },
  {
    ...cpuPerDelivery,
    title: 'fan-out-1000: CPU per delivery',
    scenario: 'fan-out-1000',
    comparison: { name: 'CPU time per delivery to 1,000 clients', better: 'lower' },
  },
  {
    ...perConnection,
    title: 'idle: memory per connection',
    scenario: 'idle',
    comparison: { name: 'memory per connection', better: 'lower' },
  },
];

export const ofNodes: readonly ServerColumn[] = [
  {
    ...deliveries,
    scenario: 'nodes',
    comparison: { name: 'deliveries per second on two nodes', better: 'higher' },
  },
  { ...crossing50, scenario: 'nodes', comparison: { name: 'p50 across two nodes', better: 'lower' } },
  { ...crossing99, scenario: 'nodes', comparison: { name: 'p99 across two nodes', better: 'lower' } },
  { ...cpu, title: 'CPU of both nodes', scenario: 'nodes' },
  { ...redisCpu, scenario: 'nodes' },
  {
    ...cpuPerDelivery,
    scenario: 'nodes',
    comparison: { name: 'CPU time per delivery on two nodes', better: 'lower' },
  },
  { ...reordered, scenario: 'nodes' },
  {
    ...deliveries,
    title: 'nodes-rooms: deliveries/s',
    scenario: 'nodes-rooms',
    comparison: { name: 'deliveries per second in many rooms on two nodes', better: 'higher' },
  },
];
