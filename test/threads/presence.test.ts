import { describe, expect, test } from 'vitest';
import type { Cluster, ClusterListener, PresenceChange, RemoteMembers } from '../../src/hub/cluster.ts';
import { Calls } from '../../src/threads/calls.ts';
import type { MembersByNode, ProcessClusterMethods, WorkerClusterMethods } from '../../src/threads/cluster-methods.ts';
import { ProcessCluster } from '../../src/threads/process-cluster.ts';
import { WorkerCluster } from '../../src/threads/worker-cluster.ts';
import { Random } from '../simulation/virtual.ts';
import { Lanes } from './lanes.ts';
import { fakePorts } from './ports.ts';

const ROOMS = ['lobby', 'attic 👋'];
const NAMES = ['ada', 'bob', 'eve', 'kim'];
const SEEDS = Number(process.env['THREAD_SEEDS'] ?? 150);

interface LogMethods extends ProcessClusterMethods {
  attach(room: string): Promise<MembersByNode>;
  release(room: string): void;
}

/** Names, each as often as it was added less the times that it was removed. */
class Tally {
  readonly #counts = new Map<string, number>();

  add(names: readonly string[] = [], by = 1): void {
    for (const name of names) this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
  }

  change({ joined, left }: PresenceChange): void {
    this.add(joined);
    this.add(left, -1);
  }

  get names(): (readonly [string, number])[] {
    return [...this.#counts].filter(([, count]) => count !== 0).sort();
  }
}

function tallyOf(...lists: (readonly string[] | undefined)[]): Tally['names'] {
  const tally = new Tally();
  for (const names of lists) tally.add(names);
  return tally.names;
}

/** Changes a list at random. @returns the change, which is sometimes too long to be complete. */
function changeAtRandom(random: Random, users: string[]): PresenceChange {
  const left = users.splice(0, random.int(0, Math.min(2, users.length)));
  const joined = Array.from({ length: random.int(0, 3) }, () => random.pick(NAMES));
  users.push(...joined);
  const isCut = random.chance(0.15);
  return isCut ? { joined: [...users, 'gone', 'gone'], left: ['gone'] } : { joined, left };
}

/** The engine's cluster: what is announced to it, and the members on its other nodes. */
class FakeCluster implements Pick<Cluster, 'open' | 'announce' | 'others' | 'signal'> {
  listener: ClusterListener | undefined;
  readonly members = new Map<string, RemoteMembers>();
  readonly announced = new Map<string, { members: RemoteMembers; readonly tally: Tally }>();

  open(listener: ClusterListener): void {
    this.listener = listener;
  }

  signal(): void {}

  others(room: string): RemoteMembers {
    return this.members.get(room) ?? { count: 0, users: [] };
  }

  announce(room: string, change: PresenceChange, count: number, users: readonly string[] | undefined): void {
    const { tally } = this.announced.get(room) ?? { tally: new Tally() };
    tally.change(change);
    this.announced.set(room, { members: { count, users }, tally });
  }

  /** Members on the other nodes join and leave. */
  changeAtRandom(random: Random): void {
    const room = random.pick(ROOMS);
    const users = [...(this.others(room).users ?? [])];
    const change = changeAtRandom(random, users);
    this.members.set(room, { count: users.length, users: random.chance(0.2) ? undefined : users });
    this.listener?.changed(room, change);
  }
}

/** A room that a worker has attached. */
interface OwnRoom {
  users: string[];
  /** Whether the names were announced. */
  named: boolean;
  /** The names that the changes of the others add up to. */
  readonly others: Tally;
}

class Worker {
  readonly cluster: WorkerCluster;
  readonly #calls: Calls<LogMethods, WorkerClusterMethods>;
  readonly rooms = new Map<string, OwnRoom | 'attaching'>();

  constructor(calls: Calls<LogMethods, WorkerClusterMethods>) {
    this.#calls = calls;
    this.cluster = new WorkerCluster(calls as unknown as Calls<ProcessClusterMethods, WorkerClusterMethods>);
    this.cluster.open({
      signalled() {},
      hasRead() {},
      claimed() {},
      asked: () => null,
      changed: (name, change) => {
        const room = this.rooms.get(name);
        if (room === undefined || room === 'attaching') throw new Error('a change of a room that is not attached');
        room.others.change(change);
      },
    });
  }

  attached(name: string): OwnRoom | undefined {
    const room = this.rooms.get(name);
    return room === 'attaching' ? undefined : room;
  }

  act(random: Random): void {
    const name = random.pick(ROOMS);
    const room = this.rooms.get(name);
    if (room === undefined) this.#attach(name);
    else if (room !== 'attaching' && random.chance(0.15)) this.#release(name);
    else if (room !== 'attaching') this.#announce(name, room, random);
  }

  #attach(name: string): void {
    this.rooms.set(name, 'attaching');
    void this.#calls.call('attach', name).then((members) => {
      this.cluster.attached(name, members);
      const others = new Tally();
      for (const [, { users }] of members) others.add(users);
      this.rooms.set(name, { users: [], named: true, others });
    });
  }

  #release(name: string): void {
    this.rooms.delete(name);
    this.#calls.tell('release', name);
    this.cluster.released(name);
  }

  #announce(name: string, room: OwnRoom, random: Random): void {
    const change = changeAtRandom(random, room.users);
    room.named = room.users.length === 0 || !random.chance(0.2);
    this.cluster.announce(name, change, room.users.length, room.named ? [...room.users] : undefined);
  }
}

/** Connects three workers. */
function connect(random: Random, lanes: Lanes) {
  const engine = new FakeCluster();
  const soon = lanes.lane('soon');
  const cluster = new ProcessCluster(engine as unknown as Cluster, { soon, after: () => () => {} });
  cluster.open();
  const workers = [0, 1, 2].map((number) => {
    const [up, down] = fakePorts([lanes.lane(`up${number}`), lanes.lane(`down${number}`)]);
    const calls = new Calls<WorkerClusterMethods, LogMethods>(down);
    cluster.connect(number, calls as unknown as Calls<WorkerClusterMethods, ProcessClusterMethods>);
    calls.serve({
      // The members may change between the snapshot and the reply.
      attach: async (room) => {
        const members = cluster.attached(number, room);
        if (random.chance(0.3)) engine.changeAtRandom(random);
        return members;
      },
      release: (room) => cluster.released(number, room),
    });
    return new Worker(new Calls<LogMethods, WorkerClusterMethods>(up));
  });
  return { engine, workers, cluster };
}

function check(engine: FakeCluster, workers: readonly Worker[]): void {
  for (const name of ROOMS) {
    const rooms = workers.flatMap((worker) => worker.attached(name) ?? []);
    const named = (list: readonly OwnRoom[]) => list.map((room) => (room.named ? room.users : undefined));
    const countOf = (list: readonly OwnRoom[]) => list.reduce((count, { users }) => count + users.length, 0);
    for (const worker of workers) {
      const own = worker.attached(name);
      if (!own) continue;
      const others = rooms.filter((room) => room !== own);
      const lists = [...named(others), engine.others(name).users];
      const { count, users } = worker.cluster.others(name);
      expect(count).toBe(countOf(others) + engine.others(name).count);
      expect(users && tallyOf(users)).toEqual(lists.includes(undefined) ? undefined : tallyOf(...lists));
      expect(own.others.names).toEqual(tallyOf(...lists));
    }
    const { members, tally } = engine.announced.get(name) ?? { members: { count: 0, users: [] }, tally: new Tally() };
    const isNamed = !named(rooms).includes(undefined);
    expect(members.count).toBe(countOf(rooms));
    expect(members.users && tallyOf(members.users)).toEqual(isNamed ? tallyOf(...named(rooms)) : undefined);
    expect(tally.names).toEqual(tallyOf(...named(rooms)));
  }
}

test('every worker has the members of the others, and is notified of every change', async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = new Random(seed);
    const lanes = new Lanes(random);
    const { engine, workers } = connect(random, lanes);
    for (let step = 0; step < 80; step++) {
      if (random.chance(0.4)) random.pick(workers).act(random);
      else if (random.chance(0.1)) engine.changeAtRandom(random);
      else await lanes.step();
      if (step % 40 !== 39) continue;
      await lanes.drain();
      try {
        check(engine, workers);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
  }
}, 60_000);

describe('a worker', () => {
  async function inRoom() {
    const random = new Random(1);
    const lanes = new Lanes(random);
    const connected = connect(new Random(2), lanes);
    connected.engine.changeAtRandom = () => {};
    const rooms = connected.workers.map((worker) => {
      worker.rooms.set('lobby', { users: [], named: true, others: new Tally() });
      worker.cluster.attached('lobby', []);
      return worker.cluster;
    });
    for (const number of rooms.keys()) connected.cluster.attached(number, 'lobby');
    await lanes.drain();
    return { ...connected, lanes, rooms: rooms as [WorkerCluster, WorkerCluster, WorkerCluster] };
  }

  test('leaves all of its rooms when it closes', async () => {
    const { rooms, engine, lanes } = await inRoom();
    rooms[0].announce('lobby', { joined: ['ada'], left: [] }, 1, ['ada']);
    rooms[1].announce('lobby', { joined: ['bob'], left: [] }, 1, ['bob']);
    await lanes.drain();
    expect([...(rooms[2].others('lobby').users ?? [])].sort()).toEqual(['ada', 'bob']);
    const closed = rooms[0].close();
    await lanes.drain();
    await closed;
    expect(rooms[2].others('lobby')).toEqual({ count: 1, users: ['bob'] });
    expect(rooms[0].others('lobby')).toEqual({ count: 0, users: [] });
    expect(engine.announced.get('lobby')?.members).toEqual({ count: 1, users: ['bob'] });
  });

  test('announces members only of rooms that it has attached', async () => {
    const { rooms, engine, lanes } = await inRoom();
    rooms[0].announce('cellar', { joined: ['ada'], left: [] }, 1, ['ada']);
    await lanes.drain();
    expect(engine.announced.size).toBe(0);
    expect(rooms[1].others('cellar')).toEqual({ count: 0, users: [] });
  });

  test('is sent what changed, and not the names that it has', async () => {
    const { rooms, workers, lanes } = await inRoom();
    const users = Array.from({ length: 500 }, (_, i) => `user${i}`);
    rooms[0].announce('lobby', { joined: users, left: [] }, 500, users);
    await lanes.drain();
    const sizes: number[] = [];
    const { structuredClone } = globalThis;
    globalThis.structuredClone = ((message: unknown) => {
      sizes.push(JSON.stringify(message).length);
      return structuredClone(message);
    }) as typeof structuredClone;
    rooms[0].announce('lobby', { joined: ['ada'], left: [] }, 501, [...users, 'ada']);
    await lanes.drain();
    globalThis.structuredClone = structuredClone;
    expect(workers.slice(1).map(({ cluster }) => cluster.others('lobby').count)).toEqual([501, 501]);
    expect(sizes).toHaveLength(3);
    expect(Math.max(...sizes)).toBeLessThan(120);
  });
});
