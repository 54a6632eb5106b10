import type { RunningServer, ServerNode } from './contestant.ts';
import { onInterrupt } from './interrupt.ts';
import type { LoadSettings } from './load-options.ts';
import { startRedis } from './redis.ts';

/**
 * Starts Redis and the nodes that share it. If one of them fails to start, stops the others.
 *
 * @param startNode starts a node that connects to the given Redis.
 */
export async function startCluster(
  { nodes, aof }: Pick<LoadSettings, 'nodes' | 'aof'>,
  startNode: (redisUrl: string) => Promise<ServerNode>,
): Promise<RunningServer> {
  const redis = await startRedis(aof);
  const started: ServerNode[] = [];
  const stop = async () => {
    await Promise.all(started.map((node) => node.stop()));
    await redis.stop();
  };
  const unregister = onInterrupt(stop);
  const starts = Array.from({ length: nodes }, async () => started.push(await startNode(redis.url)));
  const failed = (await Promise.allSettled(starts)).find((start) => start.status === 'rejected');
  unregister();
  if (failed) {
    await stop();
    throw failed.reason;
  }
  const { pid, version } = redis;
  return { urls: started.map(({ url }) => url), pids: started.map(({ pid }) => pid), redis: { pid, version }, stop };
}
