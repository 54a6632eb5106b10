import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { keysOf } from '../../src/engine/redis/keys.ts';
import { REVOCATIONS } from '../../src/hub/cluster.ts';
import type { NowOrLater } from '../../src/protocol/now-or-later.ts';
import type { Json, Place, Signalled } from '../../src/protocol/v1.ts';
import { findRedis } from '../redis/install.ts';
import { RedisProxy } from '../redis/proxy.ts';
import { RedisProcess } from '../redis/redis-process.ts';
import { waitUntil } from '../redis/wait.ts';
import { Node } from './redis-helper.ts';

const installed = await findRedis();
const LEASE = { leaseMs: 1_500, renewalMs: 300 };

let server: RedisProcess;
let rooms = 0;
const members: ClusterNode[] = [];
const proxies: RedisProxy[] = [];

beforeAll(async () => {
  if (installed.path) server = await RedisProcess.start();
});
beforeEach((context) => context.skip(!installed.path, installed.reason));
afterEach(async () => {
  for (const node of members.splice(0)) await node.close();
  for (const proxy of proxies.splice(0)) proxy.close();
});
afterAll(() => server?.stop());

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const newRoom = () => `room ${++rooms} 👋`;
const newSession = () => `session ${++rooms}`;

/** An engine and what its cluster's listener received. */
class ClusterNode {
  readonly node: Node;
  readonly signals: Signalled[] = [];
  readonly changes: { room: string; joined: readonly string[]; left: readonly string[] }[] = [];
  /** Sessions that the node was asked to let go of. */
  readonly claimed: string[] = [];
  readonly asked: Json[] = [];
  /** The read places that the node heard of, in order. */
  readonly read: [user: string, room: string, place: Place][] = [];
  answer: (question: Json) => NowOrLater<Json> = () => this.run;
  /** What the node waits for before it has let go. */
  leaving: Promise<void> = Promise.resolve();

  private constructor(node: Node) {
    this.node = node;
    this.cluster.open({
      signalled: (signal) => this.signals.push(signal),
      changed: (room, { joined, left }) => this.changes.push({ room, joined, left }),
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

  static async start(url: string | readonly string[] = server.url, auditMs = 60_000): Promise<ClusterNode> {
    const member = new ClusterNode(await Node.start(url, { lease: LEASE, patienceMs: 3_000, auditMs }));
    members.push(member);
    return member;
  }

  get cluster() {
    return this.node.engine.cluster;
  }

  get run(): string {
    return this.node.engine.run;
  }

  get lease(): string {
    return `ph:n:${this.run}`;
  }

  /** The named members on the other nodes, sorted. */
  names(room: string): string[] {
    return [...(this.cluster.others(room).users ?? [])].sort();
  }

  count(room: string): number {
    return this.cluster.others(room).count;
  }

  /** All joins and leaves that the node heard of, in order. */
  heard(room: string): string[] {
    const own = this.changes.filter((change) => change.room === room);
    return own.flatMap(({ joined, left }) => [...joined.map((name) => `+${name}`), ...left.map((name) => `-${name}`)]);
  }

  /** Ends the connections to Redis without notice, as the death of the process does. */
  die(): void {
    for (const shard of this.node.engine.shards) shard.close();
  }

  async close(): Promise<void> {
    await this.cluster.close();
    await this.node.engine.close();
    expect(this.node.breaches).toEqual([]);
  }
}

async function startProxied(auditMs?: number): Promise<{ node: ClusterNode; proxy: RedisProxy }> {
  const proxy = await RedisProxy.listen(server.port);
  proxies.push(proxy);
  return { node: await ClusterNode.start(proxy.url, auditMs), proxy };
}

/** Starts nodes that have attached a room. */
async function inRoom(count: number, room = newRoom()): Promise<{ room: string; nodes: ClusterNode[] }> {
  const nodes = await Promise.all(Array.from({ length: count }, () => ClusterNode.start()));
  for (const { node } of nodes) await node.attach(room);
  return { room, nodes };
}

/** Resolves to what becomes of a promise: its state after some milliseconds. */
async function stateOf(promise: Promise<unknown>, ms: number): Promise<string> {
  const settled = promise.then(
    () => 'resolved',
    (error: Error) => error.message,
  );
  return Promise.race([settled, pause(ms).then(() => 'pending')]);
}

describe('signals', () => {
  test('reach the other nodes that have the room, and not their sender', async () => {
    const { room, nodes } = await inRoom(3);
    const [a, b, c] = nodes as [ClusterNode, ClusterNode, ClusterNode];
    const outside = await ClusterNode.start();
    const signal = { t: 'signal', room, from: 'ada "👋"', data: { x: [1, null, '\n'] }, session: 's1' } as const;
    a.cluster.signal(signal);
    b.cluster.signal({ ...signal, data: 2 });
    await waitUntil('they arrive', () => a.signals.length === 1 && b.signals.length === 1 && c.signals.length === 2);
    await pause(30);
    expect(a.signals).toEqual([{ ...signal, data: 2 }]);
    expect(b.signals).toEqual([signal]);
    expect(c.signals).toEqual([signal, { ...signal, data: 2 }]);
    expect(outside.signals).toEqual([]);
  });

  test('are not kept for a node that is cut off, and malformed ones are reported', async () => {
    const { node: away, proxy } = await startProxied();
    const { room, nodes } = await inRoom(1);
    const [a] = nodes as [ClusterNode];
    await away.node.attach(room);
    proxy.refuse();
    await waitUntil('it is away', () => away.node.states.at(-1) === 'away');
    a.cluster.signal({ t: 'signal', room, from: 'ada', data: 1 });
    await pause(50);
    proxy.accept();
    await waitUntil('it is back', () => away.node.states.at(-1) === 'ready');
    a.cluster.signal({ t: 'signal', room, from: 'ada', data: 2 });
    await waitUntil('the later one arrives', () => away.signals.length > 0);
    expect(away.signals.map(({ data }) => data)).toEqual([2]);
    for (const text of ['{', '{"data":1}', 'null']) {
      await server.command('PUBLISH', keysOf(room).channel, `s${'0'.repeat(12)}${text}`);
    }
    await waitUntil('it reports them', () => a.node.errors.length === 3);
    expect(a.node.errors[0]).toBe(`room ${JSON.stringify(room)}: a signal is malformed`);
    expect(a.signals).toEqual([]);
  });
});

describe('the members of a room', () => {
  test('join and leave on other nodes, by name and count', async () => {
    const { room, nodes } = await inRoom(3);
    const [a, b, c] = nodes as [ClusterNode, ClusterNode, ClusterNode];
    a.cluster.announce(room, { joined: ['ada', 'eve'], left: [] }, 2, ['ada', 'eve']);
    b.cluster.announce(room, { joined: ['bob'], left: [] }, 1, ['bob']);
    await waitUntil('the others have them', () => a.count(room) === 1 && b.count(room) === 2 && c.count(room) === 3);
    expect([a.names(room), b.names(room), c.names(room)]).toEqual([['bob'], ['ada', 'eve'], ['ada', 'bob', 'eve']]);
    a.cluster.announce(room, { joined: ['ada', 'kim'], left: ['eve'] }, 3, ['ada', 'ada', 'kim']);
    a.cluster.announce(room, { joined: [], left: ['ada'] }, 2, ['ada', 'kim']);
    await waitUntil('one ada has left', () => b.heard(room).includes('-ada'));
    expect(b.names(room)).toEqual(['ada', 'kim']);
    a.cluster.announce(room, { joined: [], left: ['kim', 'ada'] }, 0, []);
    await waitUntil('all have left', () => b.count(room) === 0 && c.count(room) === 1);
    expect([...b.heard(room)].sort()).toEqual(['+ada', '+ada', '+eve', '+kim', '-ada', '-ada', '-eve', '-kim']);
    expect(a.heard(room)).toEqual(['+bob']);
    expect(await server.command('HKEYS', keysOf(room).presence)).toEqual([b.run]);
  });

  test('are there for a node that attaches the room later', async () => {
    const { room, nodes } = await inRoom(1);
    const [a] = nodes as [ClusterNode];
    a.cluster.announce(room, { joined: ['ada'], left: [] }, 1, ['ada']);
    const late = await ClusterNode.start();
    await late.node.attach(room);
    expect(late.names(room)).toEqual(['ada']);
    a.cluster.announce(room, { joined: ['eve'], left: [] }, 2, ['ada', 'eve']);
    await waitUntil('it has the next one', () => late.count(room) === 2);
    expect(late.heard(room)).toEqual(['+ada', '+eve']);
  });

  test('have no names where a node has too many, and names again when it has fewer', async () => {
    const { room, nodes } = await inRoom(2);
    const [a, b] = nodes as [ClusterNode, ClusterNode];
    a.cluster.announce(room, { joined: ['some'], left: [] }, 2_000, undefined);
    await waitUntil('the other has the count', () => b.count(room) === 2_000);
    expect(b.cluster.others(room)).toEqual({ count: 2_000, users: undefined });
    a.cluster.announce(room, { joined: ['more'], left: [] }, 2_001, undefined);
    await waitUntil('the other has the count', () => b.count(room) === 2_001);
    const late = await ClusterNode.start();
    await late.node.attach(room);
    expect(late.cluster.others(room)).toEqual({ count: 2_001, users: undefined });
    a.cluster.announce(room, { joined: [], left: ['some'] }, 2, ['ada', 'eve']);
    await waitUntil('they have names', () => b.names(room).length === 2 && late.names(room).length === 2);
    expect([b.names(room), late.names(room)]).toEqual([
      ['ada', 'eve'],
      ['ada', 'eve'],
    ]);
  });

  test('are complete after changes that were too many to list', async () => {
    const { room, nodes } = await inRoom(2);
    const [a, b] = nodes as [ClusterNode, ClusterNode];
    a.cluster.announce(room, { joined: ['ada'], left: [] }, 1, ['ada']);
    const users = ['ada', 'eve', 'kim'];
    a.cluster.announce(room, { joined: ['x', 'y', 'z'], left: ['x', 'y'] }, 3, users); // cut off
    await waitUntil('the other has the count', () => b.count(room) === 3);
    expect(b.names(room)).toEqual(users);
  });

  test('are repaired by the next announcement when one was lost', async () => {
    const { node: b, proxy } = await startProxied();
    const { room, nodes } = await inRoom(1);
    const [a] = nodes as [ClusterNode];
    await b.node.attach(room);
    a.cluster.announce(room, { joined: ['ada', 'eve', 'kim'], left: [] }, 3, ['ada', 'eve', 'kim']);
    await waitUntil('the first arrives', () => b.count(room) === 3);
    const lost = proxy.losePush(([, , payload]) => String(payload).startsWith('p'));
    a.cluster.announce(room, { joined: ['bob'], left: ['eve'] }, 3, ['ada', 'kim', 'bob']);
    await lost;
    a.cluster.announce(room, { joined: ['leo'], left: [] }, 4, ['ada', 'kim', 'bob', 'leo']);
    await waitUntil('it has read the field', () => b.count(room) === 4);
    expect(b.names(room)).toEqual(['ada', 'bob', 'kim', 'leo']);
    expect(b.heard(room)).toEqual(['+ada', '+eve', '+kim', '+bob', '+leo', '-eve']);
  });

  test('are repaired by the audit when the last announcement of a quiet room was lost', async () => {
    const { node: b, proxy } = await startProxied(300);
    const { room, nodes } = await inRoom(2);
    const [a, c] = nodes as [ClusterNode, ClusterNode];
    await b.node.attach(room);
    const isAnnouncement = ([, , payload]: readonly unknown[]) => String(payload).startsWith('p');
    const loseNext = async (change: () => void) => {
      const lost = proxy.losePush(isAnnouncement);
      change();
      await lost;
    };
    await loseNext(() => a.cluster.announce(room, { joined: ['ada'], left: [] }, 1, ['ada']));
    await waitUntil('the first members are read', () => b.count(room) === 1, 2_000);
    await loseNext(() => a.cluster.announce(room, { joined: ['eve'], left: ['ada'] }, 1, ['eve']));
    await waitUntil('the change is read', () => b.names(room).join() === 'eve', 2_000);
    await loseNext(() => a.cluster.announce(room, { joined: [], left: ['eve'] }, 0, []));
    await waitUntil('the last leave is read', () => b.count(room) === 0, 2_000);
    expect(b.heard(room)).toEqual(['+ada', '+eve', '-ada', '-eve']);
    expect(c.heard(room)).toEqual(['+ada', '+eve', '-ada', '-eve']);
    a.cluster.announce(room, { joined: ['kim'], left: [] }, 1, ['kim']);
    await waitUntil('it goes on', () => b.names(room).join() === 'kim' && c.names(room).join() === 'kim');
    await pause(700); // two audits find nothing
    expect(b.heard(room)).toEqual(['+ada', '+eve', '-ada', '-eve', '+kim']);
  });

  test('are written again by the audit when Redis has lost them', async () => {
    const { node: a } = await startProxied(300);
    const { room, nodes } = await inRoom(1);
    const [b] = nodes as [ClusterNode];
    await a.node.attach(room);
    a.cluster.announce(room, { joined: ['ada'], left: [] }, 1, ['ada']);
    await waitUntil('the other has them', () => b.names(room).join() === 'ada');
    await server.command('DEL', keysOf(room).presence);
    const { presence } = keysOf(room);
    await waitUntil('the field is back', async () => (await server.command('HEXISTS', presence, a.run)) === 1, 2_000);
    expect(b.heard(room)).toEqual(['+ada']);
  });

  test('leave once when the lease of their node ends, and its field is removed', async () => {
    const { room, nodes } = await inRoom(3);
    const [a, b, c] = nodes as [ClusterNode, ClusterNode, ClusterNode];
    a.cluster.announce(room, { joined: ['ada', 'eve'], left: [] }, 2, ['ada', 'eve']);
    c.cluster.announce(room, { joined: ['kim'], left: [] }, 1, ['kim']);
    await waitUntil('the other has them', () => b.count(room) === 3);
    const start = performance.now();
    a.die();
    await waitUntil('they have left', () => b.count(room) === 1 && c.count(room) === 0);
    expect(performance.now() - start).toBeGreaterThan(LEASE.leaseMs - LEASE.renewalMs - 100);
    await pause(2 * LEASE.renewalMs);
    expect(b.heard(room).filter((change) => change.startsWith('-'))).toEqual(['-ada', '-eve']);
    expect(c.heard(room)).toEqual(['+ada', '+eve', '-ada', '-eve']);
    expect(await server.command('HKEYS', keysOf(room).presence)).toEqual([c.run]);
  });

  test('come back with a node whose lease had ended meanwhile', async () => {
    const { room, nodes } = await inRoom(2);
    const [a, b] = nodes as [ClusterNode, ClusterNode];
    a.cluster.announce(room, { joined: ['ada'], left: [] }, 1, ['ada']);
    await waitUntil('the other has them', () => b.count(room) === 1);
    const hasLeft = async () => {
      await server.command('DEL', a.lease);
      return b.heard(room).length > 1;
    };
    await waitUntil('they have left', hasLeft);
    await waitUntil('they are back', () => b.heard(room).length > 2);
    expect(b.heard(room)).toEqual(['+ada', '-ada', '+ada']);
    expect(b.names(room)).toEqual(['ada']);
  });

  test("change while a node is cut off: it has today's when it is back, and so have the others", async () => {
    const { node: away, proxy } = await startProxied();
    const { room, nodes } = await inRoom(2);
    const [a, b] = nodes as [ClusterNode, ClusterNode];
    await away.node.attach(room);
    away.cluster.announce(room, { joined: ['kim'], left: [] }, 1, ['kim']);
    a.cluster.announce(room, { joined: ['ada', 'eve'], left: [] }, 2, ['ada', 'eve']);
    b.cluster.announce(room, { joined: ['bob'], left: [] }, 1, ['bob']);
    await waitUntil('all have all', () => away.count(room) === 3 && a.count(room) === 2 && b.count(room) === 3);
    proxy.refuse();
    await waitUntil('it is away', () => away.node.states.at(-1) === 'away');
    a.cluster.announce(room, { joined: ['leo'], left: ['eve'] }, 2, ['ada', 'leo']);
    b.cluster.announce(room, { joined: [], left: ['bob'] }, 0, []);
    away.cluster.announce(room, { joined: ['mia'], left: ['kim'] }, 1, ['mia']);
    await pause(50);
    proxy.accept();
    await waitUntil('it is back', () => away.node.states.at(-1) === 'ready');
    expect(away.names(room)).toEqual(['ada', 'leo']);
    await waitUntil('the others have its member', () => a.names(room).includes('mia'));
    expect([a.names(room), b.names(room)]).toEqual([['mia'], ['ada', 'leo', 'mia']]);
  });

  test('have left when the last of them left while their node was cut off, also with the room', async () => {
    const { node: away, proxy } = await startProxied();
    const [kept, released] = [newRoom(), newRoom()];
    const b = await ClusterNode.start();
    for (const room of [kept, released]) {
      await Promise.all([away.node.attach(room), b.node.attach(room)]);
      away.cluster.announce(room, { joined: ['kim'], left: [] }, 1, ['kim']);
    }
    await waitUntil('the other has them', () => b.count(kept) === 1 && b.count(released) === 1);
    proxy.refuse();
    await waitUntil('it is away', () => away.node.states.at(-1) === 'away');
    away.cluster.announce(kept, { joined: [], left: ['kim'] }, 0, []);
    away.node.engine.release(released);
    proxy.accept();
    await waitUntil('they have left', () => b.count(kept) === 0 && b.count(released) === 0);
    expect([b.heard(kept), b.heard(released)]).toEqual([
      ['+kim', '-kim'],
      ['+kim', '-kim'],
    ]);
    expect(await server.command('EXISTS', keysOf(kept).presence, keysOf(released).presence)).toBe(0);
    away.cluster.announce(kept, { joined: ['leo'], left: [] }, 1, ['leo']);
    await waitUntil('the next one joins', () => b.names(kept).join() === 'leo');
  });

  test('are those of today after the room was released and attached again', async () => {
    const { room, nodes } = await inRoom(2);
    const [a, b] = nodes as [ClusterNode, ClusterNode];
    for (const name of ['ada', 'eve', 'kim']) a.cluster.announce(room, { joined: [name], left: [] }, 1, [name]);
    a.cluster.announce(room, { joined: [], left: ['ada', 'eve', 'kim'] }, 0, []);
    await waitUntil('all have left', () => b.heard(room).length > 3 && b.count(room) === 0);
    a.node.engine.release(room);
    b.cluster.announce(room, { joined: ['bob'], left: [] }, 1, ['bob']);
    await pause(50);
    expect(a.count(room)).toBe(0);
    await a.node.attach(room);
    expect(a.names(room)).toEqual(['bob']);
    a.cluster.announce(room, { joined: ['leo'], left: [] }, 1, ['leo']);
    await waitUntil('the other has the new member', () => b.names(room).join() === 'leo');
  });

  test('leave with a room that is released, and with a node that closes', async () => {
    const { room, nodes } = await inRoom(3);
    const [a, b, c] = nodes as [ClusterNode, ClusterNode, ClusterNode];
    a.cluster.announce(room, { joined: ['ada'], left: [] }, 1, ['ada']);
    c.cluster.announce(room, { joined: ['x'], left: [] }, 1_500, undefined);
    await waitUntil('the other has them', () => b.count(room) === 1_501);
    a.node.engine.release(room);
    await waitUntil('ada has left', () => b.count(room) === 1_500);
    await c.close();
    await waitUntil('all have left', () => b.count(room) === 0, 1_000);
    expect(await server.command('EXISTS', keysOf(room).presence, c.lease)).toBe(0);
  });

  test('are reported when they are malformed, and the others stay', async () => {
    const { room, nodes } = await inRoom(2);
    const [a, b] = nodes as [ClusterNode, ClusterNode];
    a.cluster.announce(room, { joined: ['ada'], left: [] }, 1, ['ada']);
    await waitUntil('the other has them', () => b.count(room) === 1);
    for (const text of ['', '{}', '[1]', '[1,-1,[]]', '[1,1,[2]]', '[1,1,["x"],"y"]', '[1,1,["x"],["y"],']) {
      await server.command('PUBLISH', keysOf(room).channel, `p${a.run}${text}`);
    }
    await waitUntil('they are reported', () => b.node.errors.length === 7);
    await server.command('HSET', keysOf(room).presence, 'broken', '[1');
    const late = await ClusterNode.start();
    await late.node.attach(room);
    expect([b.names(room), late.names(room)]).toEqual([['ada'], ['ada']]);
    expect(late.node.errors).toEqual(['the members of a node are malformed']);
  });

  test('are on the shard of their room', async () => {
    const other = await RedisProcess.start();
    try {
      const urls = [server.url, other.url];
      const [a, b] = [await ClusterNode.start(urls), await ClusterNode.start(urls)];
      const names = Array.from({ length: 16 }, newRoom);
      for (const room of names) {
        await Promise.all([a.node.attach(room), b.node.attach(room)]);
        a.cluster.announce(room, { joined: [room], left: [] }, 1, [room]);
      }
      await waitUntil('the other has them', () => names.every((room) => b.names(room).join() === room));
      const shards = await Promise.all(names.map((room) => other.command('EXISTS', keysOf(room).presence)));
      expect(new Set(shards)).toEqual(new Set([0, 1]));
      a.die();
      await waitUntil('all have left', () => names.every((room) => b.count(room) === 0));
    } finally {
      for (const node of members.splice(0)) await node.close();
      await other.stop();
    }
  });
});

describe('a session', () => {
  test('is claimed from a node that lives when that has let go', async () => {
    const [a, b] = [await ClusterNode.start(), await ClusterNode.start()];
    const session = newSession();
    await a.cluster.claim(session);
    let letGo = () => {};
    a.leaving = new Promise((resolve) => {
      letGo = resolve;
    });
    const claim = b.cluster.claim(session);
    expect(await stateOf(claim, 600)).toBe('pending'); // also after it has asked again
    expect(a.claimed).toEqual([session]);
    letGo();
    expect(await stateOf(claim, 2_000)).toBe('resolved');
    expect(a.claimed).toEqual([session]);
    a.leaving = Promise.resolve();
    await a.cluster.claim(session);
    expect([a.claimed, b.claimed]).toEqual([[session], [session]]);
  });

  test('is claimed at once from a node that is dead', async () => {
    const [a, b] = [await ClusterNode.start(), await ClusterNode.start()];
    const session = newSession();
    await a.cluster.claim(session);
    a.die();
    await waitUntil('Redis has noticed', async () =>
      String(await server.command('PUBSUB', 'NUMSUB', a.lease)).endsWith(',0'),
    );
    expect(await stateOf(b.cluster.claim(session), 300)).toBe('resolved');
  });

  test('is claimed from a node that has stopped when its lease ends', async () => {
    const { node: a, proxy } = await startProxied();
    const b = await ClusterNode.start();
    const session = newSession();
    await a.cluster.claim(session);
    proxy.hold();
    const start = performance.now();
    const claim = b.cluster.claim(session);
    await claim;
    expect(performance.now() - start).toBeGreaterThan(LEASE.leaseMs - LEASE.renewalMs - 100);
    expect(await server.command('EXISTS', a.lease)).toBe(0);
    expect(a.claimed).toEqual([]);
    proxy.release();
    await waitUntil('it lets go when it continues', () => a.claimed.length === 1);
  });

  test('goes to the last of several nodes that claim it: earlier claims reject, the last one waits', async () => {
    const { node: a, proxy } = await startProxied();
    const [b, c] = [await ClusterNode.start(), await ClusterNode.start()];
    const session = newSession();
    await a.cluster.claim(session);
    proxy.hold();
    const first = b.cluster.claim(session);
    expect(await stateOf(first, 50)).toBe('pending');
    const last = c.cluster.claim(session);
    expect(await stateOf(first, 1_000)).toBe('another node has taken the session over');
    expect(await server.command('EXISTS', a.lease)).toBe(1);
    expect(await stateOf(last, 50)).toBe('pending');
    await last;
    expect(await server.command('EXISTS', a.lease)).toBe(0);
    expect([b.claimed, c.claimed]).toEqual([[session], []]);
  });

  test('is not had by a second handshake on a node before the other node has let go', async () => {
    const { node: a, proxy } = await startProxied();
    const b = await ClusterNode.start();
    const session = newSession();
    await a.cluster.claim(session);
    proxy.hold();
    const first = b.cluster.claim(session);
    expect(await stateOf(first, 50)).toBe('pending');
    const second = b.cluster.claim(session);
    expect(await stateOf(first, 1_000)).toBe('a later connection has taken the session over');
    expect(await stateOf(second, 50)).toBe('pending');
    await second;
    expect(await server.command('EXISTS', a.lease)).toBe(0);
  });

  test('is claimed by two nodes back and forth without a deadlock', async () => {
    const [a, b] = [await ClusterNode.start(), await ClusterNode.start()];
    const session = newSession();
    for (let i = 0; i < 20; i++) {
      const states = [a, b, b, a].map((node) => stateOf(node.cluster.claim(session), 3_000));
      expect((await Promise.all(states)).filter((state) => state === 'pending')).toEqual([]);
      const owner = String(await server.command('GET', `ph:s:${session}`)).split(' ')[0];
      const [loser, winner] = owner === a.run ? [b, a] : [a, b];
      const asked = loser.claimed.length;
      await winner.cluster.claim(session);
      expect(loser.claimed.length).toBe(asked);
    }
  });

  test('is let go of by a node that reads its claim and the takeover at once', async () => {
    const { node: a, proxy } = await startProxied();
    const b = await ClusterNode.start();
    const session = newSession();
    proxy.hold('replies');
    const early = a.cluster.claim(session);
    await waitUntil('Redis has its claim', async () => (await server.command('EXISTS', `ph:s:${session}`)) === 1);
    const late = b.cluster.claim(session);
    expect(await stateOf(late, 50)).toBe('pending');
    proxy.release('replies');
    await Promise.all([early, late]);
    expect(a.claimed).toEqual([session]);
  });

  test('is let go of by a node that was cut off while another took it', async () => {
    const { node: a, proxy } = await startProxied();
    const b = await ClusterNode.start();
    const [taken, kept] = [newSession(), newSession()];
    await Promise.all([a.cluster.claim(taken), a.cluster.claim(kept)]);
    proxy.refuse();
    await waitUntil('it is away', () => a.node.states.at(-1) === 'away');
    await b.cluster.claim(taken);
    await server.command('DEL', `ph:s:${kept}`);
    proxy.accept();
    await waitUntil('it is back', () => a.node.states.at(-1) === 'ready');
    expect(a.claimed).toEqual([taken]);
    expect(await server.command('GET', `ph:s:${kept}`)).toMatch(new RegExp(`^${a.run} `));
    expect(await server.command('GET', `ph:s:${taken}`)).toMatch(new RegExp(`^${b.run} `));
  });

  test('counts as claimed when Redis was away, and is claimed when it is back', async () => {
    const { node: a, proxy } = await startProxied();
    const b = await ClusterNode.start();
    const [session, gone] = [newSession(), newSession()];
    proxy.refuse();
    await waitUntil('it is away', () => a.node.states.at(-1) === 'away');
    await expect(a.cluster.claim(session)).rejects.toThrow('Redis cannot be reached');
    await expect(a.cluster.claim(gone)).rejects.toThrow('Redis cannot be reached');
    a.cluster.disclaim(gone);
    proxy.accept();
    await waitUntil('it is back', () => a.node.states.at(-1) === 'ready');
    expect(await server.command('EXISTS', `ph:s:${gone}`)).toBe(0);
    await b.cluster.claim(session);
    expect(a.claimed).toEqual([session]);
  });

  test('stays with a node whose reply was lost', async () => {
    const { node: a, proxy } = await startProxied();
    const b = await ClusterNode.start();
    const session = newSession();
    const lost = proxy.loseReply((words) => words[0] === 'EVAL' && words[3] === `ph:s:${session}`);
    await expect(a.cluster.claim(session)).rejects.toThrow();
    await lost;
    await waitUntil('it is back', () => a.node.states.at(-1) === 'ready' && a.node.states.length >= 2);
    expect(a.claimed).toEqual([]);
    await b.cluster.claim(session);
    expect(a.claimed).toEqual([session]);
  });

  test("is free once its node has disclaimed it, and another node's claim stays", async () => {
    const [a, b] = [await ClusterNode.start(), await ClusterNode.start()];
    const [free, taken] = [newSession(), newSession()];
    await Promise.all([a.cluster.claim(free), a.cluster.claim(taken)]);
    a.cluster.disclaim(free);
    await b.cluster.claim(taken);
    a.cluster.disclaim(taken);
    await waitUntil('it is free', async () => (await server.command('EXISTS', `ph:s:${free}`)) === 0);
    await b.cluster.claim(free);
    expect(a.claimed).toEqual([taken]);
    expect(await server.command('GET', `ph:s:${taken}`)).toMatch(new RegExp(`^${b.run} `));
  });
});

describe('sign-in', () => {
  test('spends a ticket once, whichever node it comes to', async () => {
    const [a, b] = [await ClusterNode.start(), await ClusterNode.start()];
    const tickets = [a.cluster.tickets, b.cluster.tickets] as const;
    for (let i = 0; i < 20; i++) {
      await tickets[0].put(`ticket${i}`, 'ada "👋"', 60_000.5);
      expect(await tickets[1].find(`ticket${i}`)).toBe('ada "👋"');
      const spent = await Promise.all(tickets.map((store) => store.spend(`ticket${i}`)));
      expect(spent.filter(Boolean)).toHaveLength(1);
      expect(await tickets[1].find(`ticket${i}`)).toBeUndefined();
    }
    await tickets[0].put('short', 'ada', 20);
    await pause(60);
    expect(await tickets[1].find('short')).toBeUndefined();
    expect(await tickets[1].spend('short')).toBe(false);
  });

  test('counts attempts on all nodes together, and allows more as time passes', async () => {
    const [a, b] = [await ClusterNode.start(), await ClusterNode.start()];
    const attempts = [a.cluster.attempts, b.cluster.attempts] as const;
    const take = async (count: number, address: string, user: string) => {
      const taken = await Promise.all(Array.from({ length: count }, (_, i) => attempts[i % 2]?.take(address, user)));
      return taken.filter(Boolean).length;
    };
    expect(await take(14, '10.0.0.1', 'ada')).toBe(10);
    expect(await take(4, '10.0.0.2', 'ada')).toBe(0); // her rate
    expect(await take(4, '10.0.0.1', 'eve')).toBe(0); // the address's rate
    await attempts[0].giveBack('10.0.0.1', 'ada');
    expect(await take(4, '10.0.0.1', 'ada')).toBe(1);
    for (const key of (await server.command('KEYS', 'ph:a:*')) as string[]) {
      const [tokens, at] = String(await server.command('GET', key)).split(' ');
      await server.command('SET', key, `${tokens} ${Number(at) - 20_500}`, 'KEEPTTL');
    }
    expect(await take(6, '10.0.0.1', 'ada')).toBe(2);
    expect(await take(6, '10.0.0.1', 'kim')).toBe(0); // what the attempts on ada took
    expect(JSON.stringify(await server.command('KEYS', 'ph:a:*'))).not.toMatch(/ada|10\.0/);
  });

  test('shares one secret, the first', async () => {
    const [a, b] = [await ClusterNode.start(), await ClusterNode.start()];
    const own = [Buffer.from([0, 255, 1]), Buffer.from('second')] as const;
    const [first, second] = await Promise.all([a.cluster.secret(own[0]), b.cluster.secret(own[1])]);
    expect(first).toEqual(second);
    expect(own.some((secret) => Buffer.compare(secret, first as Uint8Array) === 0)).toBe(true);
    expect(await a.cluster.secret(Buffer.from('third'))).toEqual(first);
  });
});

describe('questions', () => {
  // Nodes that have died in earlier tests are in the list until their leases end.
  beforeEach(() => server.command('DEL', 'ph:nodes'));

  test('reach every other node, and miss one that has stopped until its lease ends', async () => {
    const { node: stopped, proxy } = await startProxied();
    const [a, b] = [await ClusterNode.start(), await ClusterNode.start()];
    const { answers, missing } = await a.cluster.ask({ kind: 'test', text: 'ada "👋"\n' });
    expect([[...answers].sort(), missing]).toEqual([[stopped.run, b.run].sort(), 0]);
    expect(b.asked).toEqual([{ kind: 'test', text: 'ada "👋"\n' }]);
    proxy.hold();
    const start = performance.now();
    const both = await Promise.all([a.cluster.ask(1), a.cluster.ask(2)]);
    expect(both).toEqual([
      { answers: [b.run], missing: 1 },
      { answers: [b.run], missing: 1 },
    ]);
    expect(performance.now() - start).toBeGreaterThan(1_400);
    await waitUntil('its lease has ended', async () => (await a.cluster.ask(3)).missing === 0);
    proxy.release();
    await waitUntil('it answers again', async () => (await a.cluster.ask(4)).answers.length === 2);
    expect(a.node.errors).toEqual([]);
  });

  test('miss a node that is not connected at once, and one that has left not at all', async () => {
    const [a, b, c] = [await ClusterNode.start(), await ClusterNode.start(), await ClusterNode.start()];
    await c.cluster.close();
    expect(await a.cluster.ask(1)).toEqual({ answers: [b.run], missing: 0 });
    b.die();
    await waitUntil('Redis has noticed', async () =>
      String(await server.command('PUBSUB', 'NUMSUB', b.lease)).endsWith(',0'),
    );
    const start = performance.now();
    expect(await a.cluster.ask(1)).toEqual({ answers: [], missing: 1 });
    expect(performance.now() - start).toBeLessThan(1_000);
  });

  test('report that nodes may be missing while Redis is away and just after it has lost its data', async () => {
    const { node: a, proxy } = await startProxied();
    const { node: b, proxy: far } = await startProxied();
    expect(await a.cluster.ask(1)).toEqual({ answers: [b.run], missing: 0 });
    far.refuse();
    proxy.refuse();
    await waitUntil('it is away', () => a.node.states.at(-1) === 'away');
    expect(await a.cluster.ask(1)).toEqual({ answers: [], missing: 1 });
    await server.command('DEL', 'ph:nodes');
    proxy.accept();
    await waitUntil('it is back', () => a.node.states.at(-1) === 'ready');
    expect(await a.cluster.ask(1)).toEqual({ answers: [], missing: 1 });
    far.accept();
    await waitUntil('the other is back', async () => (await a.cluster.ask(1)).answers.length === 1);
    expect(await a.cluster.ask(1)).toEqual({ answers: [b.run], missing: 0 });
  });

  test('ignore malformed questions and answers, and answers that are too long', async () => {
    const [a, b] = [await ClusterNode.start(), await ClusterNode.start()];
    for (const text of ['', 'x', `${b.run} 1`, `${b.run} 1 {`, `${b.run} x 1`, 'no run 1 1']) {
      await server.command('PUBLISH', a.lease, `q${text}`);
    }
    for (const text of ['', 'x', `${b.run} 1 {`, `${b.run} 1 null`, `${b.run} 1 {"answers":1,"missing":0}`]) {
      await server.command('PUBLISH', a.lease, `r${text}`);
    }
    await server.command('PUBLISH', a.lease, 'zzz');
    await waitUntil('they are reported', () => a.node.errors.length === 11);
    expect(new Set(a.node.errors)).toEqual(
      new Set(['a question of another node is malformed', 'an answer of another node is malformed']),
    );
    expect(a.asked).toEqual([]);
    await server.command('PUBLISH', a.lease, `r${b.run} 99 {"answers":[1],"missing":0}`); // nobody asked
    b.answer = () => 'x'.repeat(5_000_000);
    expect(await a.cluster.ask(1)).toEqual({ answers: [], missing: 1 });
    b.answer = () => Promise.reject(new Error('no'));
    expect(await a.cluster.ask(1)).toEqual({ answers: [], missing: 1 });
    expect(b.node.errors).toEqual(Array(2).fill('a question of another node could not be answered'));
    b.answer = () => 'x'.repeat(3_000_000);
    expect((await a.cluster.ask(1)).answers).toHaveLength(1);
  });

  test('are bounded: a node that asks too many at once misses answers', async () => {
    const [a, b] = [await ClusterNode.start(), await ClusterNode.start()];
    b.answer = () => new Promise(() => {});
    const all = await Promise.all(Array.from({ length: 70 }, (_, i) => a.cluster.ask(i)));
    expect(all.every(({ missing }) => missing === 1)).toBe(true);
    await waitUntil('those that were asked arrived', () => b.asked.length === 64);
  });
});

describe('revocations', () => {
  test('are shared by all nodes, keep the later time, and hold at most so many users', async () => {
    const [a, b] = [await ClusterNode.start(), await ClusterNode.start()];
    expect(await a.cluster.revocations.find([])).toEqual([]);
    expect(await a.cluster.revocations.find(['ada'])).toEqual([0]);
    const now = Date.now();
    expect(await a.cluster.revocations.revoke('ada "👋"', now)).toBe(true);
    expect(await b.cluster.revocations.find(['eve', 'ada "👋"'])).toEqual([0, now]);
    expect(await b.cluster.revocations.revoke('ada "👋"', now - 5_000)).toBe(true);
    expect(await a.cluster.revocations.find(['ada "👋"'])).toEqual([now]);
    await server.command('ZADD', 'ph:revoked', now - REVOCATIONS.ms - 1, 'old');
    await a.cluster.revocations.revoke('eve', now + 60_000);
    expect(await a.cluster.revocations.find(['old', 'eve'])).toEqual([0, now + 60_000]);
    expect(Number(await server.command('PTTL', 'ph:revoked'))).toBeGreaterThan(REVOCATIONS.ms + 50_000);
    await server.command('DEL', 'ph:revoked');
    const users = Array.from({ length: REVOCATIONS.users }, (_, i) => [now, `user${i}`]).flat();
    for (let i = 0; i < users.length; i += 10_000) {
      await server.command('ZADD', 'ph:revoked', ...(users.slice(i, i + 10_000) as string[]));
    }
    expect(await a.cluster.revocations.revoke('ada', now)).toBe(false);
    expect(await a.cluster.revocations.revoke('user7', now + 1)).toBe(true);
    await server.command('DEL', 'ph:revoked');
  });
});

test('a room begins at its attach although pushes were lost meanwhile', async () => {
  const { node: b, proxy } = await startProxied();
  const { room, nodes } = await inRoom(1);
  const [a] = nodes as [ClusterNode];
  await a.node.append(room, '1', '2', '3');
  const read = proxy.holdReply((words) => words[0] === 'HMGET' && words[1] === keysOf(room).meta);
  const attaching = b.node.attach(room);
  await read;
  const lost = proxy.losePush(([, , payload]) => String(payload).startsWith('r'));
  await a.node.append(room, '4');
  await lost;
  await a.node.append(room, '5');
  proxy.release('replies');
  const { seq } = await attaching;
  expect(b.node.commits.filter(({ records }) => (records[0]?.seq ?? 0) <= seq)).toEqual([]);
  await a.node.append(room, '6');
  await waitUntil('it has all', () => b.node.head(room) === 6);
});

describe('Redis', () => {
  /** The keys without an expiry. */
  async function eternal(): Promise<string[]> {
    const keys = (await server.command('KEYS', 'ph:*')) as string[];
    const ttls = await Promise.all(keys.map((key) => server.command('PTTL', key)));
    return keys.filter((_, i) => ttls[i] === -1);
  }

  test('forgets every key in time except the secret', async () => {
    const { room, nodes } = await inRoom(2);
    const [a, b] = nodes as [ClusterNode, ClusterNode];
    await a.node.append(room, ['1', 'id']);
    a.cluster.announce(room, { joined: ['ada'], left: [] }, 1, ['ada']);
    a.cluster.announce(room, { joined: [], left: ['ada'] }, 0, []);
    a.cluster.announce(room, { joined: ['eve'], left: [] }, 1, ['eve']); // the key is a new one
    await a.cluster.claim('s');
    await b.cluster.claim('s');
    await a.cluster.tickets.put('t', 'ada', 1_000);
    await a.cluster.attempts.take('10.0.0.9', 'leo');
    await a.cluster.secret(Buffer.from('x'));
    await a.cluster.revocations.revoke('ada', Date.now());
    await waitUntil('all is written', () => b.names(room).join() === 'eve');
    expect((await server.command('KEYS', 'ph:*')) as string[]).toEqual(
      expect.arrayContaining([
        ...Object.values(keysOf(room)).slice(0, 2),
        keysOf(room).presence,
        a.lease,
        'ph:s:s',
        'ph:t:t',
        'ph:nodes',
        'ph:revoked',
      ]),
    );
    expect(await eternal()).toEqual(['ph:secret']);
  });

  test('keeps the members of a quiet room for as long as it is attached', async () => {
    const { room, nodes } = await inRoom(1);
    const [a] = nodes as [ClusterNode];
    a.cluster.announce(room, { joined: ['ada'], left: [] }, 1, ['ada']);
    const { presence } = keysOf(room);
    await waitUntil('it is stored', async () => Number(await server.command('PTTL', presence)) > 0);
    await server.command('PEXPIRE', presence, 20_000);
    const now = performance.now.bind(performance);
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + 61 * 60_000);
    try {
      await a.node.engine.catchUp(room);
    } finally {
      clock.mockRestore();
    }
    expect(Number(await server.command('PTTL', presence))).toBeGreaterThan(60 * 60_000);
  });
});
