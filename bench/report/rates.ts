import type { LoadResult } from '../result.ts';
import { percent, whole } from './figures.ts';

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
  /** Microseconds of the server's CPU for a delivery. */
  readonly microsPerDelivery: number | undefined;
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
    deliveriesPerCpuSecond: cpu && deliveries ? deliveries / cpu : undefined,
    microsPerDelivery: cpu && deliveries ? (cpu * 1e6) / deliveries : undefined,
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
  if (wrong.length > 0)
    said.push(`NOT SOUND: of what the clients should hear ${wrong.join(', ')}. First: ${audit.first}.`);
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

/** A notice without the figure in which it differs from run to run. */
export const gistOf = (notice: string) => notice.replace(/ \(the server used [^)]*\)/, '');
