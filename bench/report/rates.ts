import type { OrderCheck } from '../order.ts';
import type { LoadResult } from '../result.ts';
import { percent, whole } from './figures.ts';

/** Figures derived from a result. */
export interface Rates {
  readonly deliveriesPerSecond: number;
  readonly messagesPerSecond: number;
  /**
   * Deliveries per second of the CPU of the server and of Redis; undefined if the usage is not
   * available.
   */
  readonly deliveriesPerCpuSecond: number | undefined;
  /** The share of a core that the server used, without Redis. Several nodes may exceed 1. */
  readonly serverBusy: number | undefined;
  /** The part of `serverBusy` outside the kernel. */
  readonly serverUserBusy: number | undefined;
  /** The share of a core that Redis used; undefined without Redis. */
  readonly redisBusy: number | undefined;
  /** Growth of the server's memory in bytes per connection; undefined if it did not grow. */
  readonly bytesPerConnection: number | undefined;
  /** Microseconds of the CPU of the server and of Redis per delivery. */
  readonly microsPerDelivery: number | undefined;
  /** Connections accepted per second. */
  readonly connectionsPerSecond: number;
}

// An event loop that is busy for more than this share of time has no reserve and measures itself.
const SATURATED = 0.95;

/** @param connections the number of clients, including slow ones. */
export function ratesOf(
  { deliveries, messages, seconds, connectingSeconds, server, cluster }: LoadResult,
  connections: number,
): Rates {
  const redisCpu = cluster?.redis?.cpuSeconds;
  // The cost of several nodes is not known without that of Redis.
  const cpu = cluster ? server && redisCpu !== undefined && server.cpuSeconds + redisCpu : server?.cpuSeconds;
  const userCpu = server?.userCpuSeconds;
  return {
    deliveriesPerSecond: deliveries / seconds,
    messagesPerSecond: messages / seconds,
    deliveriesPerCpuSecond: cpu && deliveries ? deliveries / cpu : undefined,
    microsPerDelivery: cpu && deliveries ? (cpu * 1e6) / deliveries : undefined,
    serverBusy: server && server.cpuSeconds / seconds,
    serverUserBusy: userCpu === undefined ? undefined : userCpu / seconds,
    redisBusy: redisCpu === undefined ? undefined : redisCpu / seconds,
    connectionsPerSecond: connections / connectingSeconds,
    bytesPerConnection: growthOf(server) / connections || undefined,
  };
}

/** @returns 0 if the growth was not measured, or is less than the noise of the measurement. */
function growthOf(server: LoadResult['server']): number {
  const { before, connected } = server?.memory ?? {};
  return before === undefined || connected === undefined ? 0 : Math.max(0, connected - before);
}

/** Whether every message was received once and in order. */
export function sound({ audit, unreturned }: LoadResult): boolean {
  return audit.lost + audit.repeated + audit.swapped + audit.unknown + unreturned === 0;
}

/** @returns the caveats of a result: faults, closed clients, and a saturated generator. */
export function notices(result: LoadResult, { serverBusy }: Rates): string[] {
  const { audit, unreturned, generator, closes, deliveries, cluster } = result;
  const lines: string[] = [];
  const faults = ([name, count]: [string, number]) => (count > 0 ? [`${whole(count)} ${name}`] : []);
  const { lost, repeated, swapped, unknown } = audit;
  const counts = Object.entries({ lost, repeated, swapped, unknown }).flatMap(faults);
  if (counts.length > 0) {
    lines.push(`NOT SOUND: faults in the received messages: ${counts.join(', ')}. First: ${audit.first}.`);
  }
  if (unreturned > 0) lines.push(`NOT SOUND: ${whole(unreturned)} messages were never delivered to their sender.`);
  const closed = Object.values(closes).reduce((sum, count) => sum + count, 0);
  if (closed > 0) {
    lines.push(`The server closed ${whole(closed)} clients: the figures do not include later deliveries to them.`);
  }
  if (cluster && !cluster.order.promised && cluster.order.differing > 0) lines.push(disagreement(cluster.order));
  if (generator.busy >= SATURATED && deliveries > 0) {
    lines.push(bottleneck(serverBusy, cluster?.nodeCpuSeconds?.length ?? 1));
  }
  return lines;
}

/** @returns the share of messages that clients of different nodes received in different orders. */
export function reorderedShare({ cluster }: LoadResult): number | undefined {
  return cluster && cluster.order.messages > 0 ? cluster.order.reordered / cluster.order.messages : undefined;
}

function disagreement({ clients, differing, messages, reordered }: OrderCheck): string {
  const extent = `${whole(differing)} of ${whole(clients)} clients compared, ${whole(reordered)} of ${whole(messages)} messages`;
  return `The clients of different nodes received the messages of a room in different orders (in all ${extent}). The server does not promise one order.`;
}

function bottleneck(serverBusy: number | undefined, nodes: number): string {
  const delay = "Round trips include the generator's own delay.";
  if (serverBusy !== undefined && serverBusy / nodes >= SATURATED) {
    return `Generator and server were both saturated. ${delay}`;
  }
  const server = serverBusy === undefined ? '' : ` (the server used ${percent(serverBusy)} of a core)`;
  return `The generator was the bottleneck${server}. ${delay}`;
}

/** Removes from a notice the figures that vary between runs. */
export const gistOf = (notice: string) => notice.replace(/ \((the server used|in all) [^)]*\)/, '');
