import type { LoadOptions, LoadResult, Progress } from './load.ts';

/** Figures that follow from a result. */
export interface Rates {
  readonly deliveriesPerSecond: number;
  readonly messagesPerSecond: number;
  /** Deliveries per second of the server's CPU; undefined where it does not tell. */
  readonly deliveriesPerCpuSecond: number | undefined;
  /** Share of a core that the server used. */
  readonly serverBusy: number | undefined;
  /** Bytes of the server's memory for each connection. */
  readonly bytesPerConnection: number | undefined;
  /** How fast clients were taken in. */
  readonly connectionsPerSecond: number;
}

// Above this share of the time a loop has no reserve: what it measures is itself.
const SATURATED = 0.95;

/** @param connections all clients, those that never read included. */
export function ratesOf(
  { deliveries, messages, seconds, connectingSeconds, server }: LoadResult,
  connections: number,
): Rates {
  const cpu = server?.cpuSeconds;
  return {
    deliveriesPerSecond: deliveries / seconds,
    messagesPerSecond: messages / seconds,
    deliveriesPerCpuSecond: cpu ? deliveries / cpu : undefined,
    serverBusy: cpu === undefined ? undefined : cpu / seconds,
    connectionsPerSecond: connections / connectingSeconds,
    bytesPerConnection: server && (server.memory.connected - server.memory.before) / connections,
  };
}

/** Whether what was heard is what was sent. */
export function sound({ audit, unreturned }: LoadResult): boolean {
  return audit.lost + audit.repeated + audit.swapped + audit.unknown + unreturned === 0;
}

/** What must be said about a result before anyone quotes it. */
export function notices(result: LoadResult, { serverBusy }: Rates): string[] {
  const { audit, unreturned, generator, closes, deliveries } = result;
  const said: string[] = [];
  const faults = ([name, count]: [string, number]) => (count > 0 ? [`${whole(count)} ${name}`] : []);
  const { lost, repeated, swapped, unknown } = audit;
  const wrong = Object.entries({ lost, repeated, swapped, 'that nobody sent': unknown }).flatMap(faults);
  if (wrong.length > 0) said.push(`NOT SOUND: of the audited clients' messages ${wrong.join(', ')}.`);
  if (unreturned > 0) said.push(`NOT SOUND: ${whole(unreturned)} messages never came back to their sender.`);
  const closed = Object.values(closes).reduce((sum, count) => sum + count, 0);
  if (closed > 0)
    said.push(`The server closed ${whole(closed)} clients: what they would have heard is not in the figures.`);
  if (generator.busy >= SATURATED && deliveries > 0) said.push(bottleneck(serverBusy));
  return said;
}

function bottleneck(serverBusy: number | undefined): string {
  const delay = "Round trips include the generator's own delay.";
  if (serverBusy !== undefined && serverBusy >= SATURATED) {
    return `The generator had as little time left as the server: both were busy all the time. ${delay}`;
  }
  const server = serverBusy === undefined ? '' : ` (the server used ${percent(serverBusy)} of a core)`;
  return `The generator was the bottleneck: it had no time left${server}. ${delay}`;
}

/** The report for people. */
export function report(options: Omit<LoadOptions, 'url'>, result: LoadResult, rates: Rates): string {
  const { clients, senders, window, rate, bytes, slow, audit } = options;
  const { roundTrip, server, closes, slowCloses, generator } = result;
  const load = rate === undefined ? `${whole(window)} on their way each` : `${whole(rate)} messages a second together`;
  const sending = senders > 0 ? `${whole(senders)} of them sending, ${load}, ${whole(bytes)} bytes` : 'none sending';
  const rows: [string, string][] = [
    ['load', `${whole(clients)} clients, ${sending}${slow > 0 ? `; ${whole(slow)} more never read` : ''}`],
    ['measured', `${result.seconds.toFixed(1)} s`],
    [
      'deliveries',
      `${whole(rates.deliveriesPerSecond)} a second, of ${whole(rates.messagesPerSecond)} messages a second`,
    ],
  ];
  if (rates.deliveriesPerCpuSecond !== undefined && rates.serverBusy !== undefined) {
    rows.push([
      'per CPU second',
      `${whole(rates.deliveriesPerCpuSecond)} (the server used ${percent(rates.serverBusy)} of a core)`,
    ]);
  }
  if (roundTrip.max > 0) {
    const { p50, p99, p999, max } = roundTrip;
    rows.push(['round trip', `p50 ${time(p50)}, p99 ${time(p99)}, p99.9 ${time(p999)}, at most ${time(max)}`]);
  }
  if (server && rates.bytesPerConnection !== undefined) {
    const { before, connected, most } = server.memory;
    const each = `${(rates.bytesPerConnection / 1024).toFixed(1)} KiB a connection`;
    rows.push([
      'server memory',
      `${mebi(before)} before, ${mebi(connected)} connected (${each}), ${mebi(most)} at most`,
    ]);
  }
  rows.push(['generator', `${percent(generator.busy)} busy`]);
  rows.push(['closed', codes(closes)]);
  if (slow > 0) rows.push(['closed, slow', codes(slowCloses)]);
  if (audit > 0 && senders > 0) {
    const verdict = sound(result) ? 'each once and in order' : 'see below';
    rows.push([
      'audit',
      `${whole(result.audit.clients)} clients heard ${whole(result.audit.messages)} messages: ${verdict}`,
    ]);
  }
  const table = rows.map(([name, text]) => `${name.padEnd(15)} ${text}`);
  return [...table, ...notices(result, rates).map((line) => `\n${line}`)].join('\n');
}

/** One line of how it goes. @param perSecond deliveries in the last second. */
export function progressLine({ phase, connected, p99 }: Progress, perSecond: number): string {
  if (phase === 'connecting') return `connecting: ${whole(connected)}`;
  return `${phase}: ${whole(perSecond)} deliveries a second, p99 ${time(p99)}`;
}

export const whole = (value: number) => Math.round(value).toLocaleString('en-US');
const percent = (share: number) => `${Math.round(share * 100)} %`;
const mebi = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
export const time = (ms: number) =>
  ms < 1 ? `${Math.round(ms * 1000)} µs` : ms < 100 ? `${ms.toFixed(1)} ms` : `${whole(ms)} ms`;

function codes(closes: Readonly<Record<string, number>>): string {
  const each = Object.entries(closes).map(([code, count]) => `${whole(count)} with ${code}`);
  return each.join(', ') || 'none';
}
