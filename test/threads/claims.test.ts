import { describe, expect, test } from 'vitest';
import { HeldSessions, type Reservation } from '../../src/accept/held-sessions.ts';
import type { Client } from '../../src/client/client.ts';
import { Claims, nodeChannel } from '../../src/engine/redis/claims.ts';
import type { Shard } from '../../src/engine/redis/shard.ts';
import type { Cluster, ClusterListener } from '../../src/hub/cluster.ts';
import { Calls } from '../../src/threads/calls.ts';
import type { ProcessClusterMethods, WorkerClusterMethods } from '../../src/threads/cluster-methods.ts';
import { ProcessCluster } from '../../src/threads/process-cluster.ts';
import { WorkerCluster } from '../../src/threads/worker-cluster.ts';
import { Random } from '../simulation/virtual.ts';
import { Lanes } from './lanes.ts';
import { fakePorts, type Later } from './ports.ts';

const SESSIONS = ['s1', 's2'];
const SEEDS = Number(process.env['THREAD_SEEDS'] ?? 200);

/** The commands of Redis that claims use, with a connection a node. */
class FakeRedis {
  readonly owners = new Map<string, string>();
  readonly #subscribers = new Map<string, (message: string) => void>();
  #fence = 1_000_000_000_000;

  /** @param up and `down` order what passes on the node's connection. */
  connect(
    run: string,
    up: Later,
    down: Later,
  ): { shard: Shard; subscribe: (receive: (message: string) => void) => void } {
    const command = (words: readonly string[]) =>
      new Promise((resolve) => {
        up(() => {
          const reply = this.#run(words);
          down(() => resolve(reply));
        });
      });
    const shard = {
      link: undefined,
      command,
      publish: (channel: string, message: string) => void command(['PUBLISH', channel, message]),
    };
    const subscribe = (receive: (message: string) => void) =>
      void this.#subscribers.set(nodeChannel(run), (message) => down(() => receive(message)));
    return { shard: shard as unknown as Shard, subscribe };
  }

  #run(words: readonly string[]): unknown {
    const [name = '', second = '', third = '', key = '', argument = '', session] = words;
    if (name === 'PUBLISH') return this.#publish(second, third);
    expect(name).toBe('EVAL');
    if (session !== undefined) return this.#claim(key, argument, session);
    if (this.owners.get(key) === argument) this.owners.delete(key);
    return 0;
  }

  #claim(key: string, run: string, session: string): unknown {
    const [node = ''] = this.owners.get(key)?.split(' ') ?? [];
    const fence = String(++this.#fence);
    this.owners.set(key, `${run} ${fence}`);
    if (node === '' || node === run) return [fence, '', 0];
    return [fence, node, this.#publish(nodeChannel(node), `l${run} ${fence} ${session}`)];
  }

  #publish(channel: string, message: string): number {
    const subscriber = this.#subscribers.get(channel);
    subscriber?.(message);
    return subscriber ? 1 : 0;
  }
}

/** Returns the cluster of a node of Redis. Only its sessions work. */
function redisNode(run: string, redis: FakeRedis, lanes: Lanes): Cluster {
  let listener: ClusterListener | undefined;
  const { shard, subscribe } = redis.connect(run, lanes.lane(`${run} to Redis`), lanes.lane(`Redis to ${run}`));
  const claims = new Claims({ run, shard, letGo: (session) => listener?.claimed(session), pollMs: 60_000 });
  subscribe((message) => {
    const text = message.slice(1);
    if (message.startsWith('l')) void claims.asked(text);
    else claims.answered(text);
  });
  return {
    open: (given: ClusterListener) => {
      listener = given;
    },
    claim: (session: string) => claims.claim(session),
    disclaim: (session: string) => claims.disclaim(session),
  } as unknown as Cluster;
}

/** A connection that needs some time to close. */
class Connection {
  readonly session: string;
  readonly #later: Later;
  readonly #closed: () => void;
  readonly #onEnd: (() => void)[] = [];
  state: 'ready' | 'closing' | 'closed' = 'ready';

  constructor(session: string, later: Later, closed: () => void) {
    this.session = session;
    this.#later = later;
    this.#closed = closed;
  }

  get closed(): boolean {
    return this.state !== 'ready';
  }

  end(): void {
    if (this.closed) return;
    this.state = 'closing';
    for (const ended of this.#onEnd) ended();
    this.#later(() => {
      this.state = 'closed';
      this.#closed();
    });
  }

  letGo(_: unknown, done: () => void): void {
    if (this.closed) done();
    else {
      this.#onEnd.push(done);
      this.#later(() => this.end());
    }
  }
}

/** A worker that opens a connection for each session that it has claimed. */
class Worker {
  readonly name: string;
  readonly process: string;
  readonly cluster: WorkerCluster;
  readonly connections: Connection[] = [];
  readonly #held: HeldSessions;
  readonly #later: Later;
  /** Handshakes without an answer. */
  waiting = 0;

  constructor(name: string, process: string, calls: Calls<ProcessClusterMethods, WorkerClusterMethods>, later: Later) {
    this.name = name;
    this.process = process;
    this.cluster = new WorkerCluster(calls);
    this.#later = later;
    this.#held = new HeldSessions(this.cluster, { soon: later, after: () => () => {} });
    this.cluster.open({
      signalled() {},
      changed() {},
      hasRead() {},
      claimed: (session) => this.#held.letGo(session),
      asked: () => null,
    });
  }

  open(session: string): Connection[] {
    return this.connections.filter((connection) => connection.session === session && !connection.closed);
  }

  /** A client resumes a session. @param stays false if it has gone when its session is claimed. */
  connect(session: string, stays: boolean): void {
    this.waiting++;
    const claimed = this.#held.claim(session, false) as Promise<Reservation | undefined>;
    void claimed.then((reservation) => {
      this.waiting--;
      if (!reservation || !stays) return;
      const connection = new Connection(session, this.#later, () => this.#held.closed(session));
      const refusal = this.#held.open(reservation, connection as unknown as Client);
      if (!refusal) this.connections.push(connection);
    });
  }
}

/** Starts a process with workers. */
function startProcess(run: string, cluster: Cluster, count: number, lanes: Lanes): Worker[] {
  const process = new ProcessCluster(cluster, { soon: lanes.lane(`${run} soon`), after: () => () => {} });
  process.open();
  return Array.from({ length: count }, (_, number) => {
    const name = `${run} worker ${number}`;
    const [up, down] = fakePorts([lanes.lane(`${name} up`), lanes.lane(`${name} down`)]);
    process.connect(number, new Calls(down));
    return new Worker(name, run, new Calls(up), lanes.lane(name));
  });
}

function actAtRandom(random: Random, workers: readonly Worker[]): void {
  const worker = random.pick(workers);
  const session = random.pick(SESSIONS);
  const [connection] = worker.open(session);
  if (connection && random.chance(0.3)) connection.end();
  else worker.connect(session, random.chance(0.8));
}

/** @throws Error when two workers have a connection of a session. */
function checkOne(workers: readonly Worker[]): void {
  for (const session of SESSIONS) {
    const open = workers.filter((worker) => worker.open(session).length > 0);
    if (open.length > 1) throw new Error(`${open.map(({ name }) => name).join(' and ')} have ${session}`);
    if (open[0] && open[0].open(session).length > 1) throw new Error(`${open[0].name} has ${session} twice`);
  }
}

async function run(seed: number, processes: number): Promise<void> {
  const random = new Random(seed);
  const lanes = new Lanes(random);
  const redis = new FakeRedis();
  const workers = Array.from({ length: processes }, (_, i) => `p${i}`).flatMap((run) =>
    startProcess(run, redisNode(run, redis, lanes), 4 - processes, lanes),
  );
  const drain = async () => {
    while (await lanes.step()) checkOne(workers);
    expect(workers.filter(({ waiting }) => waiting > 0)).toEqual([]);
  };
  for (let step = 0; step < 60; step++) {
    if (random.chance(0.25)) actAtRandom(random, workers);
    else await lanes.step();
    checkOne(workers);
  }
  await drain();
  // The last of several handshakes at once has the session, and no other.
  for (let i = 0; i < 3; i++) for (const session of SESSIONS) random.pick(workers).connect(session, true);
  await drain();
  for (const session of SESSIONS) {
    const holders = workers.filter((worker) => worker.open(session).length === 1);
    expect(holders).toHaveLength(1);
    expect(redis.owners.get(`ph:s:${session}`)).toMatch(new RegExp(`^${holders[0]?.process} `));
  }
  for (const { connections } of workers) for (const connection of connections) connection.end();
  await drain();
  expect([...redis.owners]).toEqual([]);
}

describe.each([1, 2])('a session among the workers of %i processes', (processes) => {
  test('has one connection at any time, and is given up with it', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      await run(seed, processes).catch((cause) => {
        throw new Error(`seed ${seed}`, { cause });
      });
    }
  }, 60_000);
});

/** A cluster whose claims the test settles, and workers of one process over it. */
function startManual(count: number) {
  const lanes = new Lanes(new Random(1));
  let listener: ClusterListener | undefined;
  const disclaimed: string[] = [];
  const cluster = {
    claims: (_session: string): undefined | Promise<void> => undefined,
    open: (given: ClusterListener) => {
      listener = given;
    },
    claim: (session: string) => cluster.claims(session),
    disclaim: (session: string) => void disclaimed.push(session),
    secret: (created: Uint8Array): Uint8Array | Promise<Uint8Array> => created,
  };
  const process = new ProcessCluster(cluster as unknown as Cluster);
  process.open();
  const workers = Array.from({ length: count }, (_, number) => {
    const ports = fakePorts([lanes.lane(`${number} up`), lanes.lane(`${number} down`)]);
    process.connect(number, new Calls(ports[1]));
    const asked: string[] = [];
    const worker = { cluster: new WorkerCluster(new Calls(ports[0])), asked, ports, leaving: Promise.resolve() };
    const claimed = (session: string) => {
      asked.push(session);
      return worker.leaving;
    };
    worker.cluster.open({ signalled() {}, changed() {}, hasRead() {}, claimed, asked: () => null });
    return worker;
  });
  return {
    lanes,
    cluster,
    disclaimed,
    workers: workers as [(typeof workers)[0], (typeof workers)[0]],
    claimed: (session: string) => listener?.claimed(session),
  };
}

/** Returns the state of a promise once all work is done. */
async function stateOf(promise: Promise<unknown>, lanes: Lanes): Promise<string> {
  let state = 'pending';
  promise.then(
    () => {
      state = 'resolved';
    },
    (error: Error) => {
      state = error.message;
    },
  );
  await lanes.drain();
  return state;
}

function deferred() {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

describe('a claim', () => {
  test('costs a message and its reply', async () => {
    const { lanes, workers } = startManual(2);
    expect(await stateOf(workers[0].cluster.claim('s'), lanes)).toBe('resolved');
    expect(workers[0].ports.map(({ posted }) => posted)).toEqual([1, 1]);
    expect(workers[1].ports.map(({ posted }) => posted)).toEqual([0, 0]);
  });

  test('waits until the other worker has let go, whose disclaim then changes nothing', async () => {
    const { lanes, workers, disclaimed } = startManual(2);
    const { promise, resolve } = deferred();
    workers[0].leaving = promise;
    await stateOf(workers[0].cluster.claim('s'), lanes);
    const claim = workers[1].cluster.claim('s');
    expect(await stateOf(claim, lanes)).toBe('pending');
    resolve();
    expect(await stateOf(claim, lanes)).toBe('resolved');
    expect(workers[0].asked).toEqual(['s']);
    workers[0].cluster.disclaim('s');
    await lanes.drain();
    expect(disclaimed).toEqual([]);
    workers[1].cluster.disclaim('s');
    await lanes.drain();
    expect(disclaimed).toEqual(['s']);
  });

  test('is not disclaimed by a worker from which it has taken the session', async () => {
    const { lanes, workers, cluster, disclaimed } = startManual(2);
    const { promise, resolve } = deferred();
    await stateOf(workers[0].cluster.claim('s'), lanes);
    cluster.claims = () => promise;
    const claim = workers[1].cluster.claim('s');
    await lanes.drain();
    // The disclaim was on its way when the session was taken.
    workers[0].ports[0].post([3, 'disclaim', ['s']]);
    expect(await stateOf(claim, lanes)).toBe('pending');
    resolve();
    expect(await stateOf(claim, lanes)).toBe('resolved');
    expect(disclaimed).toEqual([]);
  });

  test('does not wait for its own worker, which ends the older connection itself', async () => {
    const { lanes, workers } = startManual(2);
    workers[0].leaving = new Promise(() => {});
    await stateOf(workers[0].cluster.claim('s'), lanes);
    const other = workers[1].cluster.claim('s');
    expect(await stateOf(other, lanes)).toBe('pending');
    expect(await stateOf(workers[0].cluster.claim('s'), lanes)).toBe('resolved');
    expect(await stateOf(other, lanes)).toBe('another worker has taken the session over');
  });

  test('that the store rejects counts until it is disclaimed', async () => {
    const { lanes, workers, cluster, claimed, disclaimed } = startManual(2);
    cluster.claims = () => Promise.reject(new Error('Redis cannot be reached'));
    for (const session of ['a', 'b']) {
      expect(await stateOf(workers[0].cluster.claim(session), lanes)).toBe('Redis cannot be reached');
    }
    const taken = Promise.resolve(claimed('a'));
    expect(await stateOf(taken, lanes)).toBe('resolved');
    expect(workers[0].asked).toEqual(['a']);
    workers[0].cluster.disclaim('b');
    await lanes.drain();
    expect(disclaimed).toEqual(['b']);
  });

  test('is rejected when another node takes the session, which waits for all workers', async () => {
    const { lanes, workers, claimed } = startManual(2);
    const { promise, resolve } = deferred();
    workers[0].leaving = promise;
    await stateOf(workers[0].cluster.claim('s'), lanes);
    const claim = workers[1].cluster.claim('s');
    expect(await stateOf(claim, lanes)).toBe('pending');
    const taken = Promise.resolve(claimed('s'));
    expect(await stateOf(claim, lanes)).toBe('another node has taken the session over');
    expect(await stateOf(taken, lanes)).toBe('pending');
    resolve();
    expect(await stateOf(taken, lanes)).toBe('resolved');
    expect([workers[0].asked, workers[1].asked]).toEqual([['s'], ['s']]);
    expect(claimed('s')).toBeUndefined();
  });

  test('is not lost to a node that took the session before it', async () => {
    const { lanes, workers, claimed } = startManual(2);
    await stateOf(workers[0].cluster.claim('s'), lanes);
    const taken = Promise.resolve(claimed('s'));
    const later = workers[0].cluster.claim('s');
    expect(await stateOf(taken, lanes)).toBe('resolved');
    expect(await stateOf(later, lanes)).toBe('resolved');
    expect(workers[0].asked).toEqual([]);
  });

  test('that the store rejects is lost to a node that took the session before it', async () => {
    const { lanes, workers, cluster, claimed, disclaimed } = startManual(2);
    await stateOf(workers[0].cluster.claim('s'), lanes);
    const taken = Promise.resolve(claimed('s'));
    cluster.claims = () => Promise.reject(new Error('Redis cannot be reached'));
    const later = workers[0].cluster.claim('s');
    expect(await stateOf(later, lanes)).toBe('Redis cannot be reached');
    expect(await stateOf(taken, lanes)).toBe('resolved');
    expect(workers[0].asked).toEqual(['s']);
    expect(disclaimed).toEqual(['s']);
  });

  test('that is disclaimed while a worker lets go is given up after that', async () => {
    const { lanes, workers, disclaimed } = startManual(2);
    const { promise, resolve } = deferred();
    workers[0].leaving = promise;
    await stateOf(workers[0].cluster.claim('s'), lanes);
    const claim = workers[1].cluster.claim('s');
    await lanes.drain();
    workers[1].cluster.disclaim('s');
    expect(await stateOf(claim, lanes)).toBe('the session was disclaimed');
    expect(disclaimed).toEqual([]);
    resolve();
    await lanes.drain();
    expect(disclaimed).toEqual(['s']);
  });

  test('is given up with its worker', async () => {
    const { lanes, workers, disclaimed } = startManual(2);
    await stateOf(workers[0].cluster.claim('s'), lanes);
    await stateOf(workers[1].cluster.claim('t'), lanes);
    expect(await stateOf(workers[0].cluster.close(), lanes)).toBe('resolved');
    expect(disclaimed).toEqual(['s']);
  });
});

describe('the secret', () => {
  test('is the first for all workers', async () => {
    const { lanes, workers } = startManual(2);
    const [first, second] = workers.map(({ cluster }, i) => cluster.secret(new Uint8Array([i])));
    await lanes.drain();
    expect(await first).toEqual(await second);
  });

  test('is requested again after the store has rejected', async () => {
    const { lanes, workers, cluster } = startManual(1);
    cluster.secret = () => Promise.reject(new Error('Redis cannot be reached'));
    expect(await stateOf(workers[0].cluster.secret(new Uint8Array([1])), lanes)).toBe('Redis cannot be reached');
    cluster.secret = async (created) => created;
    const secret = workers[0].cluster.secret(new Uint8Array([2]));
    await lanes.drain();
    expect(await secret).toEqual(new Uint8Array([2]));
  });
});
