import type { Run } from '../run.ts';
import { hasNodes } from './columns.ts';
import { isOfCores } from './cores.ts';
import { bars } from './plots/bars.ts';
import { coalescing } from './plots/coalescing.ts';
import { cores } from './plots/cores.ts';
import { latency } from './plots/latency.ts';
import { costOfNodes } from './plots/nodes.ts';
import { colourOf, type Plot } from './plots/plot.ts';
import { throughput } from './plots/throughput.ts';
import { CONTROL } from './results.ts';

/** @returns the plots for which the runs have figures. */
export function plotsOf(all: readonly Run[]): Plot[] {
  const measured = all.filter(({ server }) => server !== CONTROL);
  const runs = measured.filter((run) => !hasNodes(run));
  const ofNodes = measured.filter(hasNodes);
  const colour = colourOf(runs);
  const plots: (Plot | undefined)[] = [
    throughput(runs, colour),
    latency(runs, colour, {
      name: 'latency',
      scenario: 'open-loop',
      title: 'Round trip at 1,000 messages per second',
      load: '1,000 messages per second to 100 clients, all of which send',
    }),
    latency(runs, colour, {
      name: 'latency-ordinary',
      scenario: 'ordinary',
      title: 'Round trip at an ordinary load',
      load: '1,000 messages per second to 100 clients, 10 of which send; Pumphouse stores each message on disk',
    }),
    bars(runs, {
      name: 'cost',
      title: 'CPU time per delivery',
      about:
        'CPU time of the server per message delivered to one client, with 10 senders and 1,000 clients. Lower is better.',
      scenario: 'fan-out-1000',
      unit: 'µs of CPU per delivery',
      of: ({ rates }) => rates.microsPerDelivery,
      digits: 2,
    }),
    bars(runs, {
      name: 'memory',
      title: 'Memory per connection',
      about: "Growth of the server's resident memory per idle connection. Lower is better.",
      scenario: 'idle',
      unit: 'KiB per connection',
      of: ({ rates }) => rates.bytesPerConnection && rates.bytesPerConnection / 1024,
      digits: 1,
    }),
    coalescing(runs),
    latency(ofNodes, colourOf(ofNodes), {
      name: 'latency-nodes',
      scenario: 'nodes',
      title: 'Latency across two nodes',
      load: '200 clients on two nodes, 20 of which keep one message in flight each',
      measured: 'time until clients of the other node receive a message',
      axis: 'latency, ms',
      of: ({ cluster }) => cluster?.crossings ?? [],
    }),
    costOfNodes(ofNodes),
    cores(measured.filter(isOfCores)),
  ];
  return plots.filter((plot) => plot !== undefined);
}
