import { onTestFinished } from 'vitest';
import { peer } from '../integration/server.ts';
import { RedisProxy } from '../redis/proxy.ts';
import { type RedisOptions, RedisProcess } from '../redis/redis-process.ts';
import { RedisGroup, type SentinelOptions } from '../redis/sentinel-process.ts';
import { waitUntil } from '../redis/wait.ts';
import { type NodeOptions, NodeProcess } from './node-process.ts';
import { RecordingClient, type RecordingClientOptions } from './recording-client.ts';

// What these functions start is stopped when the test ends, the last first.

export async function startRedis(options?: RedisOptions): Promise<RedisProcess> {
  const server = await RedisProcess.start(options);
  onTestFinished(() => server.stop());
  return server;
}

export async function startGroup(
  size: { readonly replicas?: number; readonly sentinels?: number },
  sentinelOptions: SentinelOptions = {},
): Promise<RedisGroup> {
  const group = await RedisGroup.start(size, {}, sentinelOptions);
  onTestFinished(() => group.stop());
  return group;
}

export async function startProxy(target: number): Promise<RedisProxy> {
  const proxy = await RedisProxy.listen(target);
  onTestFinished(() => proxy.close());
  return proxy;
}

export async function startNode(options: NodeOptions): Promise<NodeProcess> {
  const node = await NodeProcess.start(options);
  onTestFinished(() => node.kill());
  return node;
}

/** Starts nodes that reach one server, each through a proxy of its own. */
export async function startProxiedNodes(
  count: number,
  target: number,
  times?: NodeOptions['times'],
): Promise<{ nodes: NodeProcess[]; proxies: RedisProxy[] }> {
  const proxies: RedisProxy[] = [];
  for (let i = 0; i < count; i++) proxies.push(await startProxy(target));
  const nodes = await Promise.all(proxies.map(({ url }) => startNode({ redis: [url], ...(times && { times }) })));
  return { nodes, proxies };
}

/** Connects a client to some nodes, in turn, and waits until it has joined. */
export async function startClient(
  name: string,
  nodes: readonly NodeProcess[],
  options: Partial<RecordingClientOptions> = {},
): Promise<RecordingClient> {
  const client = new RecordingClient({ name, ports: nodes.map(({ port }) => port), ...options });
  onTestFinished(() => client.stop());
  await waitUntil(`${name} has joined`, () => client.joined);
  return client;
}

/**
 * Connects a client without a subprotocol, in the room `lobby`: lines of text, without ids. Waits
 * until it has joined: it receives no notice of that, but a client that joins after it does.
 */
export async function startTextClient(node: NodeProcess) {
  const client = await peer(node.port);
  client.socket.on('error', () => {});
  onTestFinished(() => client.socket.terminate());
  const later = await startClient('later', [node], { room: 'lobby', reconnects: false });
  later.stop();
  return client;
}

/** Waits until every client is at the `seq` and has an answer to all that it sent. */
export async function settledAt(seq: number, ...clients: readonly RecordingClient[]): Promise<void> {
  for (const client of clients) {
    await client.settled();
    await waitUntil(
      `${client.history.name} is at ${seq}`,
      () => client.place?.seq === seq && client.pending === 0,
    ).catch((error) => {
      throw new Error(`${error.message}: it is at ${JSON.stringify(client.place)}`);
    });
  }
}
