import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Cluster } from '../../src/hub/cluster.ts';
import { systemClock } from '../../src/hub/time.ts';
import type { NowOrLater } from '../../src/protocol/now-or-later.ts';
import type { Json, Place, Signalled } from '../../src/protocol/v1.ts';
import { localCluster } from '../../src/server/local-cluster.ts';
import { Calls } from '../../src/threads/calls.ts';
import { ProcessCluster } from '../../src/threads/process-cluster.ts';
import { WorkerCluster } from '../../src/threads/worker-cluster.ts';
import { Node } from '../engine/redis-helper.ts';
import { findRedis } from '../redis/install.ts';
import { RedisProcess } from '../redis/redis-process.ts';
import { waitUntil } from '../redis/wait.ts';
import { fakePorts } from './ports.ts';

const LEASE = { leaseMs: 1_500, renewalMs: 300 };
const installed = await findRedis();
let redis: RedisProcess | undefined;
let names = 0;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const newRoom = () => `room ${++names} 👋`;
const newSession = () => `session ${++names}`;
const sorted = (users: readonly string[] | undefined) => users && [...users].sort();

/** One of those that share a store: a node, or a worker of one. */
class Peer {
  readonly cluster: Cluster;
  readonly attach: (room: string) => Promise<void>;
  readonly release: (room: string) => void;
  readonly signals: Signalled[] = [];
  readonly claimed: string[] = [];
  readonly asked: Json[] = [];
  answer: (question: Json) => NowOrLater<Json> = () => null;
  readonly #changes: { readonly room: string; readonly text: string }[] = [];
  /** The read places that it heard of, in order. */
  readonly read: [user: string, room: string, place: Place][] = [];
  /** Awaited before a session is let go of. */
  leaving: Promise<void> = Promise.resolve();

  constructor(cluster: Cluster, attach: (room: string) => Promise<void>, release: (room: string) => void) {
    this.cluster = cluster;
    this.attach = attach;
    this.release = release;
    cluster.open({
      signalled: (signal) => this.signals.push(signal),
      changed: (room, { joined, left }) => {
        for (const name of joined) this.#changes.push({ room, text: `+${name}` });
        for (const name of left) this.#changes.push({ room, text: `-${name}` });
      },
      hasRead: (...read) => this.read.push(read),
      claimed: (session) => {
        this.claimed.push(session);
        return this.leaving;
      },
      asked: (question) => {
        this.asked.push(question);
        return this.answer(question);
      },
    });
  }

  others(room: string) {
    const { count, users } = this.cluster.others(room);
    return { count, users: sorted(users) };
  }

  changes(room: string): string[] {
    return this.#changes.filter((change) => change.room === room).map(({ text }) => text);
  }
}

/** Closes what a test has started. */
const closes: (() => unknown)[] = [];

/** The part of an engine that attaches rooms. */
interface Attacher {
  attach(room: string): Promise<unknown>;
  release(room: string): void;
}

/** Starts a process with workers. A room is attached to its engine while a worker follows it. */
function startWorkers(cluster: Cluster, engine: Attacher, count: number): Peer[] {
  const process = new ProcessCluster(cluster);
  process.open();
  closes.push(() => process.close());
  const users = new Map<string, Set<number>>();
  return Array.from({ length: count }, (_, number) => {
    const [up, down] = fakePorts();
    process.connect(number, new Calls(down));
    const worker = new WorkerCluster(new Calls(up));
    const attach = async (room: string) => {
      const followers = users.get(room) ?? new Set();
      if (followers.size === 0) await engine.attach(room);
      users.set(room, followers.add(number));
      worker.attached(room, process.attached(number, room));
    };
    const release = (room: string) => {
      worker.released(room);
      process.released(number, room);
      users.get(room)?.delete(number);
      if (users.get(room)?.size === 0) engine.release(room);
    };
    return new Peer(worker, attach, release);
  });
}

async function startNode(): Promise<Node> {
  const node = await Node.start(redis?.url ?? '', { lease: LEASE, patienceMs: 3_000 });
  closes.push(async () => {
    await node.engine.cluster.close();
    await node.engine.close();
  });
  return node;
}

function engineOf(node: Node): Attacher {
  return { attach: (room) => node.attach(room), release: (room) => node.engine.release(room) };
}

const kinds: Record<string, (count: number) => Promise<Peer[]>> = {
  'workers of one process': async (count) =>
    startWorkers(localCluster(systemClock), { attach: async () => {}, release() {} }, count),
  'workers of one process on Redis': async (count) => {
    const node = await startNode();
    return startWorkers(node.engine.cluster, engineOf(node), count);
  },
  'workers of two processes on Redis': async (count) => {
    const [a, b] = [await startNode(), await startNode()];
    const few = Math.floor(count / 2);
    const first = startWorkers(a.engine.cluster, engineOf(a), few);
    return [...first, ...startWorkers(b.engine.cluster, engineOf(b), count - few)];
  },
  'nodes on Redis': (count) =>
    Promise.all(
      Array.from({ length: count }, async () => {
        const node = await startNode();
        const { attach, release } = engineOf(node);
        return new Peer(node.engine.cluster, async (room) => void (await attach(room)), release);
      }),
    ),
};

beforeAll(async () => {
  if (installed.path) redis = await RedisProcess.start();
});
afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});
afterAll(() => redis?.stop());

async function stateOf(promise: unknown, ms: number): Promise<string> {
  const settled = Promise.resolve(promise).then(
    () => 'resolved',
    (error: Error) => error.message,
  );
  return Promise.race([settled, pause(ms).then(() => 'pending')]);
}

type Three = [Peer, Peer, Peer];

test('a process alone asks nobody, and misses nobody', async () => {
  expect(await localCluster(systemClock).ask({ kind: 'test' })).toEqual({ answers: [], missing: 0 });
});

describe.each(Object.keys(kinds))('%s', (kind) => {
  beforeEach((context) => context.skip(kind.endsWith('Redis') && !installed.path, installed.reason));

  const start = async () => (await kinds[kind]?.(3)) as Three;

  async function inRoom(): Promise<{ room: string; peers: Three }> {
    const [peers, room] = [await start(), newRoom()];
    for (const peer of peers) await peer.attach(room);
    return { room, peers };
  }

  test('pass signals to the others that have the room', async () => {
    const { room, peers } = await inRoom();
    const [a, b, c] = peers;
    const signal = { t: 'signal', room, from: 'ada "👋"', data: { x: [1, null, '\n'] }, session: 's1' } as const;
    a.cluster.signal(signal);
    b.cluster.signal({ ...signal, data: 2 });
    b.cluster.signal({ ...signal, room: newRoom() });
    await waitUntil('they arrive', () => a.signals.length === 1 && b.signals.length === 1 && c.signals.length === 2);
    c.release(room);
    a.cluster.signal({ ...signal, data: 3 });
    await waitUntil('it arrives', () => b.signals.length === 2);
    await pause(30);
    expect(a.signals).toEqual([{ ...signal, data: 2 }]);
    expect(b.signals).toEqual([signal, { ...signal, data: 3 }]);
    expect(c.signals).toHaveLength(2);
  });

  test('pass read places to the others that have the room, and keep the latest', async () => {
    const { room, peers } = await inRoom();
    const [a, b, c] = peers;
    const user = `ada "👋" ${room}`;
    const found = async () => (await c.cluster.readPlaces.find(user, room)) ?? undefined;
    expect(await found()).toBeUndefined();
    a.cluster.readPlaces.move(user, room, { epoch: 'e\n1', seq: 5 });
    await waitUntil('they arrive', () => b.read.length === 1 && c.read.length === 1);
    expect([a.read, b.read, c.read]).toEqual([
      [],
      [[user, room, { epoch: 'e\n1', seq: 5 }]],
      [[user, room, { epoch: 'e\n1', seq: 5 }]],
    ]);
    expect(await found()).toEqual({ epoch: 'e\n1', seq: 5 });
    b.cluster.readPlaces.move(user, room, { epoch: 'e\n1', seq: 4 });
    b.cluster.readPlaces.move('eve', room, { epoch: 'e\n1', seq: 9 });
    await waitUntil('they arrive', () => a.read.length === 2);
    expect(await found()).toEqual({ epoch: 'e\n1', seq: 5 });
    b.cluster.readPlaces.move(user, room, { epoch: 'e2', seq: 1 });
    await waitUntil('it arrives', () => a.read.length === 3);
    expect(await found()).toEqual({ epoch: 'e2', seq: 1 });
  });

  test('have the members of the others, by name and count', async () => {
    const { room, peers } = await inRoom();
    const [a, b, c] = peers;
    a.cluster.announce(room, { joined: ['ada', 'eve'], left: [] }, 2, ['ada', 'eve']);
    b.cluster.announce(room, { joined: ['bob'], left: [] }, 1, ['bob']);
    await waitUntil('all have them', () => [a, b, c].map((peer) => peer.others(room).count).join() === '1,2,3');
    expect(c.others(room).users).toEqual(['ada', 'bob', 'eve']);
    a.cluster.announce(room, { joined: ['ada', 'kim'], left: ['eve'] }, 3, ['ada', 'ada', 'kim']);
    a.cluster.announce(room, { joined: [], left: ['ada'] }, 2, ['ada', 'kim']);
    await waitUntil('one ada has left', () => b.changes(room).includes('-ada') && c.changes(room).includes('-ada'));
    expect([b.others(room).users, c.others(room).users]).toEqual([
      ['ada', 'kim'],
      ['ada', 'bob', 'kim'],
    ]);
    a.cluster.announce(room, { joined: [], left: ['kim', 'ada'] }, 0, []);
    await waitUntil('all have left', () => b.others(room).count === 0 && c.others(room).count === 1);
    expect(b.changes(room).sort()).toEqual(['+ada', '+ada', '+eve', '+kim', '-ada', '-ada', '-eve', '-kim']);
    expect(a.changes(room)).toEqual(['+bob']);
  });

  test('have the members of the others when they attach a room later, and then once', async () => {
    const [[a, b, c], room] = [await start(), newRoom()];
    await a.attach(room);
    await c.attach(room);
    a.cluster.announce(room, { joined: ['ada'], left: [] }, 1, ['ada']);
    await waitUntil('it has them', () => c.others(room).count === 1);
    await b.attach(room);
    await waitUntil('it has them', () => b.others(room).count === 1);
    a.cluster.announce(room, { joined: ['eve'], left: [] }, 2, ['ada', 'eve']);
    await waitUntil('it has the next one', () => b.others(room).count === 2);
    expect(b.others(room).users).toEqual(['ada', 'eve']);
    expect(b.changes(room).at(-1)).toBe('+eve');
  });

  test('have counts where one has too many members to name, and names again later', async () => {
    const { room, peers } = await inRoom();
    const [a, b, c] = peers;
    b.cluster.announce(room, { joined: ['bob'], left: [] }, 1, ['bob']);
    a.cluster.announce(room, { joined: ['some'], left: [] }, 2_000, undefined);
    await waitUntil('they have counts', () => b.others(room).count === 2_000 && c.others(room).count === 2_001);
    expect([b.others(room).users, c.others(room).users]).toEqual([undefined, undefined]);
    a.cluster.announce(room, { joined: [], left: ['some'] }, 2, ['ada', 'eve']);
    await waitUntil('they have names', () => c.others(room).users?.length === 3 && b.others(room).count === 2);
    expect(c.others(room).users).toEqual(['ada', 'bob', 'eve']);
    a.cluster.announce(room, { joined: ['x', 'y', 'z'], left: ['x', 'y'] }, 3, ['ada', 'eve', 'kim']); // cut off
    await waitUntil('they have the count', () => c.others(room).count === 4);
    expect(c.others(room).users).toEqual(['ada', 'bob', 'eve', 'kim']);
  });

  test('have no members of a room that was released, and new ones when it is attached again', async () => {
    const { room, peers } = await inRoom();
    const [a, b, c] = peers;
    a.cluster.announce(room, { joined: ['ada'], left: [] }, 1, ['ada']);
    b.cluster.announce(room, { joined: ['bob'], left: [] }, 1, ['bob']);
    await waitUntil('it has them', () => c.others(room).count === 2 && a.others(room).count === 1);
    a.release(room);
    await waitUntil('ada has left', () => c.others(room).count === 1);
    expect(a.others(room)).toEqual({ count: 0, users: [] });
    await a.attach(room);
    await waitUntil('it has the others', () => a.others(room).count === 1);
    a.cluster.announce(room, { joined: ['leo'], left: [] }, 1, ['leo']);
    await waitUntil('leo has joined', () => c.others(room).count === 2 && b.others(room).count === 1);
    expect([b.others(room).users, c.others(room).users]).toEqual([['leo'], ['bob', 'leo']]);
  });

  test('take a session over when the one that has it has let go', async () => {
    const [[a, b, c], session] = [await start(), newSession()];
    await a.cluster.claim(session);
    let letGo = () => {};
    a.leaving = new Promise((resolve) => {
      letGo = resolve;
    });
    const claim = c.cluster.claim(session);
    expect(await stateOf(claim, 600)).toBe('pending');
    expect(a.claimed).toEqual([session]);
    letGo();
    expect(await stateOf(claim, 2_000)).toBe('resolved');
    expect(a.claimed).toEqual([session]);
    a.cluster.disclaim(session); // too late to change anything
    await b.cluster.claim(session);
    expect([a.claimed, c.claimed]).toEqual([[session], [session]]);
    b.cluster.disclaim(session);
    await pause(50);
    await a.cluster.claim(session);
    expect(b.claimed).toEqual([]);
  });

  test('decide between claims in order: the earlier ones reject, and the last one waits', async () => {
    const [[a, b, c], session] = [await start(), newSession()];
    await a.cluster.claim(session);
    let letGo = () => {};
    a.leaving = new Promise((resolve) => {
      letGo = resolve;
    });
    const first = b.cluster.claim(session);
    expect(await stateOf(first, 100)).toBe('pending');
    const last = c.cluster.claim(session);
    expect(await stateOf(first, 1_000)).toMatch(/^another (node|worker) has taken the session over$/);
    expect(await stateOf(last, 100)).toBe('pending');
    letGo();
    expect(await stateOf(last, 2_000)).toBe('resolved');
    expect([b.claimed, c.claimed]).toEqual([[session], []]);
  });

  test('claim a session back and forth without a deadlock', async () => {
    const [[a, b, c], session] = [await start(), newSession()];
    for (let i = 0; i < 10; i++) {
      const states = [a, b, c, b, a].map((peer) => stateOf(peer.cluster.claim(session), 3_000));
      expect(await Promise.all(states)).not.toContain('pending');
    }
    expect(await stateOf(c.cluster.claim(session), 3_000)).toBe('resolved');
  });

  test('spend a ticket once, and count attempts together', async () => {
    const [a, b, c] = await start();
    const [ticket, user, address] = [newSession(), newSession(), newSession()];
    await a.cluster.tickets.put(ticket, user, 60_000.5);
    expect(await b.cluster.tickets.find(ticket)).toBe(user);
    const spent = await Promise.all([a, b, c].map(({ cluster }) => cluster.tickets.spend(ticket)));
    expect(spent.filter(Boolean)).toHaveLength(1);
    expect(await a.cluster.tickets.find(ticket)).toBeUndefined();
    const takers = Array.from({ length: 14 }, (_, i) => [a, b, c][i % 3] as Peer);
    const taken = await Promise.all(takers.map(({ cluster }) => cluster.attempts.take(address, user)));
    expect(taken.filter(Boolean)).toHaveLength(10);
    await a.cluster.attempts.giveBack(address, user);
    expect(await c.cluster.attempts.take(address, user)).toBe(true);
  });

  test('answer a question of each other, and count those that do not', async () => {
    const [a, b, c] = await start();
    for (const [i, peer] of [a, b, c].entries()) peer.answer = () => ({ from: i, text: 'ada "👋"\n' });
    const question = { kind: 'test', list: [1, null, { x: '👋' }] };
    const answersTo = async (peer: Peer) => {
      const { answers, missing } = await peer.cluster.ask(question);
      return { from: answers.map((answer) => (answer as { from: number }).from).sort(), missing };
    };
    // A node of an earlier test may count as missing until it has left.
    await expect.poll(() => answersTo(a), { timeout: 15_000 }).toEqual({ from: [1, 2], missing: 0 });
    for (const peer of [a, b, c]) peer.asked.splice(0);
    await answersTo(a);
    expect([a.asked, b.asked, c.asked]).toEqual([[], [question], [question]]);
    expect(await Promise.all([answersTo(b), answersTo(c), answersTo(b)])).toEqual([
      { from: [0, 2], missing: 0 },
      { from: [0, 1], missing: 0 },
      { from: [0, 2], missing: 0 },
    ]);
    b.answer = () => Promise.reject(new Error('it fails'));
    expect(await answersTo(a)).toEqual({ from: [2], missing: 1 });
    b.answer = () => {
      throw new Error('it throws');
    };
    expect(await answersTo(c)).toEqual({ from: [0], missing: 1 });
    b.answer = () => new Promise(() => {});
    const started = performance.now();
    expect(await answersTo(c)).toEqual({ from: [0], missing: 1 });
    expect(performance.now() - started).toBeLessThan(2_600);
    await b.cluster.close();
    expect(await answersTo(a)).toEqual({ from: [2], missing: 0 });
  });

  test('share revocations, of which the later time counts', async () => {
    const [[a, b, c], user] = [await start(), newSession()];
    const now = Date.now();
    expect(await a.cluster.revocations.find([user, 'nobody'])).toEqual([0, 0]);
    expect(await a.cluster.revocations.revoke(user, now)).toBe(true);
    expect(await b.cluster.revocations.find(['nobody', user])).toEqual([0, now]);
    await c.cluster.revocations.revoke(user, now - 1);
    expect(await a.cluster.revocations.find([user])).toEqual([now]);
  });

  test('share one secret', async () => {
    const [a, b, c] = await start();
    const first = await a.cluster.secret(Buffer.from([0, 255, 1]));
    expect(Buffer.from(await b.cluster.secret(Buffer.from('x')))).toEqual(Buffer.from(first));
    expect(Buffer.from(await c.cluster.secret(Buffer.from('y')))).toEqual(Buffer.from(first));
  });
});
