import { expectedSeconds } from '../duration.ts';
import type { Progress } from '../load.ts';
import type { Aof } from '../load-options.ts';
import type { ClusterResult, LoadResult } from '../result.ts';
import type { Run, RunStatus } from '../run.ts';
import { NOT_MEASURED } from './columns.ts';
import { kibi, mebi, percent, smallPercent, time, whole } from './figures.ts';
import type { Rates } from './rates.ts';

const NO_PROCESS = `${NOT_MEASURED}: the benchmark did not start the server, and it has no usable /metrics`;

/** Formats one run. */
export function report({ load, result, rates, notices, sound }: Run): string {
  const { clients, senders, window, rate, bytes, slow, audit, churn } = load;
  const { roundTrip, connecting, server, closes, slowCloses, churnCloses, generator, cluster } = result;
  const pace = rate === undefined ? `${whole(window)} in flight each` : `${whole(rate)} messages per second together`;
  const sending = senders > 0 ? `${whole(senders)} of them sending, ${pace}, ${whole(bytes)} bytes` : 'no senders';
  const rooms = load.roomSize === undefined ? '' : `, in rooms of ${whole(load.roomSize)}`;
  const nodes = load.nodes > 1 ? `, on ${load.nodes} nodes` : '';
  const more = slow > 0 ? `; ${whole(slow)} more that never read` : '';
  const rows: [string, string][] = [
    ['load', `${whole(clients)} clients${rooms}${nodes}, ${sending}${more}`],
    ['measured', `${result.seconds.toFixed(1)} s in a single run: the figures are rough (--repeat shows their spread)`],
    [
      'connected',
      `${whole(rates.connectionsPerSecond)} per second: p50 ${time(connecting.p50)}, p99 ${time(connecting.p99)}`,
    ],
  ];
  if (result.recoverySeconds !== undefined) {
    rows.push([
      'recovered',
      `all clients received ${whole(load.backlog)} messages within ${result.recoverySeconds.toFixed(2)} s`,
    ]);
  }
  if (senders > 0) {
    const { deliveriesPerSecond, messagesPerSecond } = rates;
    rows.push([
      'deliveries',
      `${whole(deliveriesPerSecond)} per second, from ${whole(messagesPerSecond)} messages per second`,
    ]);
  }
  rows.push(['server CPU', cpuLine(rates) + nodesPart(result)]);
  if (cluster) rows.push(['Redis', redisLine(cluster, rates, load.aof)]);
  if (roundTrip.max > 0) {
    const { p50, p99, p999, max } = roundTrip;
    rows.push(['round trip', `p50 ${time(p50)}, p99 ${time(p99)}, p99.9 ${time(p999)}, max ${time(max)}`]);
  }
  if (cluster && cluster.crossing.max > 0) {
    const { p50, p99, p999, max } = cluster.crossing;
    rows.push(['across nodes', `p50 ${time(p50)}, p99 ${time(p99)}, p99.9 ${time(p999)}, max ${time(max)}`]);
  }
  rows.push(['server memory', memoryLine(result, rates)]);
  if (server?.stall !== undefined) {
    rows.push(['longest stall', `${time(server.stall * 1000)} of the server's event loop`]);
  }
  rows.push([
    'generator',
    `${percent(generator.busy)} busy, using ${percent(generator.cpuSeconds / result.seconds)} of a core`,
  ]);
  if (churn > 0) rows.push(['churn', `${whole(result.came)} clients, closed by the server: ${codes(churnCloses)}`]);
  rows.push(['closed', codes(closes)]);
  if (slow > 0) rows.push(['closed, slow', codes(slowCloses)]);
  if (audit > 0 && result.audit.messages > 0) {
    const verdict = sound ? 'each once and in order' : 'see below';
    rows.push([
      'audit',
      `${whole(result.audit.clients)} clients checked ${whole(result.audit.messages)} messages: ${verdict}`,
    ]);
  }
  if (cluster && cluster.order.clients > 0) rows.push(['order', orderLine(cluster)]);
  const table = rows.map(([name, text]) => `${name.padEnd(15)} ${text}`);
  return [...table, ...notices.map((line) => `\n${line}`)].join('\n');
}

function cpuLine({ serverBusy, serverUserBusy, deliveriesPerCpuSecond }: Rates): string {
  if (serverBusy === undefined) return NO_PROCESS;
  const user = serverUserBusy === undefined ? NOT_MEASURED : percent(serverUserBusy);
  const share = `${percent(serverBusy)} of a core (user CPU: ${user})`;
  if (deliveriesPerCpuSecond === undefined) return share;
  return `${share}, ${whole(deliveriesPerCpuSecond)} deliveries per CPU second`;
}

/** Formats the share of each node. */
function nodesPart({ cluster, seconds }: LoadResult): string {
  const shares = cluster?.nodeCpuSeconds?.map((cpuSeconds) => percent(cpuSeconds / seconds));
  return shares ? `; by node: ${shares.join(', ')}` : '';
}

function redisLine({ redis }: ClusterResult, { redisBusy }: Rates, aof: Aof): string {
  if (!redis || redisBusy === undefined) return NOT_MEASURED;
  const persistence = aof === 'off' ? 'without persistence' : `with an append-only file (${aof})`;
  return `${smallPercent(redisBusy)} of a core, ${mebi(redis.memoryBytes)}; version ${redis.version}, ${persistence}`;
}

function orderLine({ order: { clients, differing, messages, reordered } }: ClusterResult): string {
  const compared = `${whole(clients)} clients compared with one on another node`;
  if (differing === 0) return `${compared}: all received one order`;
  return `${compared}: ${whole(differing)} received another order, ${whole(reordered)} of ${whole(messages)} messages`;
}

function memoryLine({ server }: LoadResult, { bytesPerConnection }: Rates): string {
  if (!server) return NO_PROCESS;
  const bytes = (value: number | undefined) => (value === undefined ? NOT_MEASURED : mebi(value));
  const { before, connected, most } = server.memory;
  const each = bytesPerConnection === undefined ? NOT_MEASURED : kibi(bytesPerConnection);
  return `before: ${bytes(before)}, connected: ${bytes(connected)} (per connection: ${each}), peak: ${bytes(most)}`;
}

/** Formats the progress line. @param perSecond deliveries in the last second. */
export function progressLine({ phase, connected, p99 }: Progress, perSecond: number, status: RunStatus): string {
  const { server, job, done, of } = status;
  const prefix = `[${done + 1}/${of}] ${job.scenario?.name ?? 'load'} on ${server}`;
  const left = `${clock(secondsLeft(status))} left`;
  if (phase === 'connecting') return `${prefix}: connecting: ${whole(connected)}, ${left}`;
  return `${prefix}: ${phase}: ${whole(perSecond)} deliveries per second, p99 ${time(p99)}, ${left}`;
}

/**
 * Estimates from the average of the completed runs, or from the settings of the load before the
 * first one completes.
 */
function secondsLeft({ job: { load }, done, of, elapsed, since }: RunStatus): number {
  const each = done > 0 ? since / 1000 / done : expectedSeconds(load);
  return Math.max(0, each * of - elapsed / 1000);
}

function clock(seconds: number): string {
  const rounded = Math.ceil(seconds);
  return `${Math.floor(rounded / 60)}:${String(rounded % 60).padStart(2, '0')}`;
}

function codes(closes: Readonly<Record<string, number>>): string {
  const each = Object.entries(closes).map(([code, count]) => `${whole(count)} with ${code}`);
  return each.join(', ') || 'none';
}
