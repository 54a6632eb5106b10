import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { findRedis } from '../redis/install.ts';
import type { RedisProcess } from '../redis/redis-process.ts';
import { RedisGroup } from '../redis/sentinel-process.ts';
import { waitUntil } from '../redis/wait.ts';
import { Crowd } from './crowd.ts';
import type { Lost } from './history.ts';
import { type NodeProcess, startNodes } from './node-process.ts';
import type { RecordingClient } from './recording-client.ts';

/** `FAILOVERS=20 npx vitest run test/nodes/failover.test.ts` is the long campaign. */
const FAILOVERS = Number(process.env['FAILOVERS'] ?? 1);
const TIMEOUT_MS = 90_000 + FAILOVERS * 60_000;

// Sentinels begin a failover no sooner than twice their `failover-timeout` after the last one.
const BETWEEN_MS = 4_500;

const redis = await findRedis();
beforeEach((context) => context.skip(!redis.path, redis.reason));

/**
 * - `tail`: the primary is cut off from its replica, takes messages for a while, and is killed.
 * - `in-step`: the replica has every message when the primary is killed.
 * - `killed`: the primary is killed under load, whatever its replica has.
 * - `command`: the sentinels promote the replica, and the old primary stays one for seconds.
 */
type Kind = 'tail' | 'in-step' | 'killed' | 'command';
const KINDS: readonly Kind[] = ['tail', 'in-step', 'killed', 'command'];

interface Round {
  readonly kind: Kind;
  /** Milliseconds until every node is ready and every client has continued. */
  readonly ms: number;
  readonly lost: number;
  readonly notices: number;
}

class Failovers {
  readonly rounds: Round[] = [];
  readonly #group: RedisGroup;
  readonly #nodes: readonly NodeProcess[];
  readonly #crowd: Crowd;

  constructor(group: RedisGroup, nodes: readonly NodeProcess[], crowd: Crowd) {
    this.#group = group;
    this.#nodes = nodes;
    this.#crowd = crowd;
  }

  async run(kind: Kind): Promise<void> {
    const { clients } = this.#crowd;
    const [primary, replica] = await this.#roles();
    const joins = clients.map((client) => client.events('joined').length);
    const epoch = clients[0]?.place?.epoch;
    await this.#fail(kind, primary, replica);
    const began = Date.now();
    await waitUntil('the replica is the primary', async () => (await replica.info('role')) === 'master', 40_000);
    const isReady = async (node: NodeProcess) => (await node.status('/readyz')) === 200;
    const continued = async () =>
      clients.every(({ joined, place }) => joined && place?.epoch !== epoch) &&
      (await Promise.all(this.#nodes.map(isReady))).every(Boolean);
    await waitUntil('every node and every client has continued', continued, 40_000);
    const ms = Date.now() - began;
    await this.#rejoin(primary, replica);
    const joined = clients.flatMap((client, i) => client.events('joined').slice(joins[i]));
    const notices = joined.flatMap(({ lost }) => (lost ? [lost] : []));
    const lost = new Set(notices.flatMap(seqsOf)).size;
    this.rounds.push({ kind, ms, lost, notices: notices.length });
    if (kind === 'tail') expect(lost).toBeGreaterThan(0);
    if (kind === 'in-step') expect(joined.filter(({ recovered }) => !recovered)).toEqual([]);
  }

  async #roles(): Promise<[primary: RedisProcess, replica: RedisProcess]> {
    const port = await this.#group.sentinels?.masterPort();
    const replica = this.#group.servers.find((server) => server.port !== port) as RedisProcess;
    return [this.#group.at(port as number), replica];
  }

  async #fail(kind: Kind, primary: RedisProcess, replica: RedisProcess): Promise<void> {
    if (kind === 'tail') await this.#group.loseTail(primary, () => sleep(100 + Math.random() * 500));
    else if (kind === 'command') await this.#group.sentinels?.failover();
    else {
      if (kind === 'in-step') await this.#settle(primary, replica);
      await primary.kill();
    }
    this.#crowd.start();
  }

  async #settle(primary: RedisProcess, replica: RedisProcess): Promise<void> {
    await this.#crowd.settled();
    const offset = async (server: RedisProcess, field: string) => server.info(field);
    await waitUntil(
      'the replica is in step',
      async () => (await offset(primary, 'master_repl_offset')) === (await offset(replica, 'slave_repl_offset')),
    );
  }

  /** The old primary becomes the replica of the new one. */
  async #rejoin(primary: RedisProcess, replica: RedisProcess): Promise<void> {
    if (!primary.running) await primary.restart();
    await primary.acceptReplicas();
    await primary.replicate(replica.port);
    await primary.synchronized(20_000);
  }
}

const seqsOf = ({ from, to }: Lost) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/**
 * Returns the notices of loss to a member that do not end with the last message that it received,
 * or whose `sent` it got.
 */
function inexactNotices({ history }: RecordingClient): string[] {
  const inexact: string[] = [];
  let requested = false;
  let last = 0;
  for (const event of history.events) {
    if (event.kind === 'opened') last = 0;
    if (event.kind === 'join') requested = true;
    if (event.kind === 'message' || event.kind === 'sent') last = Math.max(last, event.seq);
    if (event.kind !== 'joined') continue;
    const { lost, seq } = event;
    if (lost && !requested && (lost.from !== seq + 1 || lost.to !== last)) {
      inexact.push(`${history.name} was shown ${last}, and ${lost.from} to ${lost.to} are named after ${seq}`);
    }
    requested = false;
    last = seq;
  }
  return inexact;
}

test(
  `names every lost message, and no other one, in ${FAILOVERS} failovers by sentinels under load`,
  async () => {
    const group = await RedisGroup.start({ replicas: 1, sentinels: 3 });
    const nodes: NodeProcess[] = [];
    let crowd: Crowd | undefined;
    try {
      const urls = group.sentinels?.urls ?? [];
      nodes.push(...(await startNodes(2, { redis: urls, sentinel: 'main' })));
      crowd = new Crowd({ ports: nodes.map(({ port }) => port) });
      await crowd.joined();
      crowd.start();
      await sleep(500);
      const failovers = new Failovers(group, nodes, crowd);
      for (let i = 0; i < FAILOVERS; i++) {
        if (i > 0) await sleep(BETWEEN_MS);
        await failovers.run(KINDS[i % KINDS.length] as Kind);
        if (FAILOVERS > 2) console.log(JSON.stringify(failovers.rounds.at(-1)));
      }
      expect(await crowd.check()).toEqual([]);
      expect(crowd.clients.flatMap(inexactNotices)).toEqual([]);
      expect(crowd.clients.flatMap((client) => client.events('gap'))).toEqual([]);
      if (FAILOVERS > 2) console.log(`${crowd.acknowledged} acknowledged`);
    } finally {
      crowd?.stop();
      await Promise.all(nodes.map((node) => node.kill()));
      await group.stop();
    }
  },
  TIMEOUT_MS,
);
