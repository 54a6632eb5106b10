import { once } from 'node:events';
import { createServer, type Server } from 'pumphouse';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { HeldSessions } from '../../src/accept/held-sessions.ts';
import { Client } from '../../src/client/client.ts';
import { Keepalive } from '../../src/client/keepalive.ts';
import { memory } from '../../src/engine/memory.ts';
import type { Cluster, ClusterListener } from '../../src/hub/cluster.ts';
import type { Draft, Engine, EngineListener } from '../../src/hub/engine.ts';
import { Hub } from '../../src/hub/hub.ts';
import { systemClock } from '../../src/hub/time.ts';
import type { NowOrLater } from '../../src/protocol/now-or-later.ts';
import { localCluster } from '../../src/server/local-cluster.ts';
import { v1 } from '../../src/wire/v1.ts';
import { transports, until } from '../integration/server.ts';
import { SimulatedSocket } from '../simulation/socket.ts';
import { VirtualTime } from '../simulation/virtual.ts';

type Line = Record<string, unknown>;

const SECRET = Buffer.from('the secret of all nodes');

/** A node's part of a cluster, which a test scripts. */
class ScriptedCluster implements Cluster {
  readonly tickets = localCluster(systemClock).tickets;
  readonly attempts = localCluster(systemClock).attempts;
  readonly revocations = localCluster(systemClock).revocations;
  readonly readPlaces = localCluster(systemClock).readPlaces;
  readonly ask = localCluster(systemClock).ask;
  readonly calls: string[] = [];
  claims: () => NowOrLater<void> = () => {};
  listener!: ClusterListener;
  secret = () => SECRET;
  others = () => ({ count: 0, users: [] });

  open(listener: ClusterListener): void {
    this.listener = listener;
  }

  claim(session: string): NowOrLater<void> {
    this.calls.push(`claim ${session}`);
    return this.claims();
  }

  disclaim(session: string): void {
    this.calls.push(`disclaim ${session}`);
  }

  signal(): void {}

  announce(): void {}

  close(): void {
    this.calls.push('close');
  }
}

/** An engine in memory that a test makes slow, or takes its store from. */
class ScriptedEngine implements Engine {
  readonly cluster = new ScriptedCluster();
  readonly #memory = memory();
  readonly held: (() => void)[] = [];
  holds = false;
  listener!: EngineListener;
  attach = (room: string) => this.#memory.attach(room);
  position = (room: string) => this.#memory.position(room);
  read = (room: string, after: number, limit: number) => this.#memory.read(room, after, limit);
  release = (room: string) => this.#memory.release(room);
  close = () => this.#memory.close();

  open(listener: EngineListener): void {
    this.listener = listener;
    void this.#memory.open(listener);
  }

  /** Appends what it holds, and holds nothing from then on. */
  resume(): void {
    this.holds = false;
    for (const append of this.held.splice(0)) append();
  }

  append(room: string, drafts: readonly Draft[]): void {
    const append = () => this.#memory.append(room, drafts);
    if (this.holds) this.held.push(append);
    else append();
  }
}

const servers: Server[] = [];
const engines: ScriptedEngine[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) engine.resume();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function start(transport: 'uws' | 'ws', options = {}) {
  const engine = new ScriptedEngine();
  engines.push(engine);
  const server = await createServer({ port: 0, drainWindow: 0, transport, engine, publicMetrics: 'on', ...options });
  servers.push(server);
  const { calls } = engine.cluster;
  const refused = async () => {
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    return Number(/refused_handshakes_total\{reason="unavailable"\} (\d+)/.exec(metrics)?.[1]);
  };
  return { server, engine, cluster: engine.cluster, calls, refused };
}

/** Connects a client of the native protocol, and records what it receives. */
function connect({ port }: Server, query = '', resume = '') {
  const protocols = ['pumphouse.v1', ...(resume === '' ? [] : [`resume.${resume}`])];
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws${query}`, protocols);
  const got: Line[] = [];
  socket.on('message', (data) => {
    for (const line of String(data).split('\n')) got.push(JSON.parse(line));
  });
  socket.on('error', () => {});
  const closed = new Promise<number>((resolve) => socket.on('close', resolve));
  const next = async (t: string): Promise<Line> => {
    await until(`it gets ${t}`, () => got.some((line) => line['t'] === t));
    return got.find((line) => line['t'] === t) as Line;
  };
  return { socket, got, closed, next };
}

/** A promise, and the functions that settle it. */
function deferred() {
  let [resolve, reject] = [() => {}, (_: Error) => {}];
  const promise = new Promise<void>((...settle) => {
    [resolve, reject] = settle;
  });
  return { promise, resolve, reject };
}

describe.each(transports)('a session among several nodes on %s', (transport) => {
  test('moves once the older node has let it go', async () => {
    const [older, newer] = [await start(transport), await start(transport)];
    const first = connect(older.server, '?user=ada&room=r');
    const { session, resume } = await first.next('welcome');
    await first.next('joined');
    newer.cluster.claims = async () => older.cluster.listener.claimed(String(session));
    const second = connect(newer.server, '?room=r', String(resume));
    expect(await second.next('welcome')).toMatchObject({ session, user: 'ada' });
    expect(await first.closed).toBe(4500);
    expect(newer.calls).toEqual([`claim ${session}`]);
    await until('the older node has forgotten it', () => older.calls.length === 2);
    expect(older.calls).toEqual([`claim ${session}`, `disclaim ${session}`]);
  });

  test('is welcomed only after the claim, and what the older connection sent goes first', async () => {
    const { server, engine, cluster, calls } = await start(transport);
    const first = connect(server, '?user=ada&room=r');
    const { session } = await first.next('welcome');
    await first.next('joined');
    engine.holds = true;
    first.socket.send('{"t":"send","room":"r","id":"a","data":{}}');
    await until('the engine has the message', () => engine.held.length === 1);
    let released = false;
    const letGo = Promise.resolve(cluster.listener.claimed(String(session))).then(() => {
      released = true;
    });
    first.socket.send('{"t":"send","room":"r","id":"b","data":{}}');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(released).toBe(false);
    engine.resume();
    await letGo;
    expect(await first.closed).toBe(4500);
    const sent = first.got.filter(({ t }) => t === 'sent').map(({ id }) => id);
    expect(sent).toEqual(['a']);
    expect(server.hub.messages).toBe(1);
    await until('the claim is dropped', () => calls.includes(`disclaim ${session}`));
  });

  test('is not awaited when it is new, and dropped when its connection closes', async () => {
    const { server, cluster, calls } = await start(transport);
    cluster.claims = () => Promise.reject(new Error('the store is down'));
    const client = connect(server);
    const { session } = await client.next('welcome');
    client.socket.close();
    await until('it is dropped', () => calls.length === 2);
    expect(calls).toEqual([`claim ${session}`, `disclaim ${session}`]);
  });

  test('is refused while the other nodes cannot be reached, and its older connection stays', async () => {
    const { server, cluster, refused } = await start(transport);
    const first = connect(server);
    const { resume } = await first.next('welcome');
    cluster.claims = () => Promise.reject(new Error('the store is down'));
    const second = connect(server, '', String(resume));
    expect(await second.closed).toBe(4006);
    expect(second.got).toMatchObject([{ t: 'error', code: 'unavailable', retry: true }]);
    expect(await refused()).toBe(1);
    first.socket.send('{"t":"ping"}');
    await first.next('pong');
    cluster.claims = () => {};
    const third = connect(server, '', String(resume));
    await third.next('welcome');
    expect(await first.closed).toBe(4500);
  });

  test('is dropped when the client goes before it is claimed', async () => {
    const { server, cluster, calls } = await start(transport);
    const first = connect(server);
    const { session, resume } = await first.next('welcome');
    first.socket.close();
    await until('the first is gone', () => calls.length === 2);
    const claim = deferred();
    cluster.claims = () => claim.promise;
    const second = connect(server, '', String(resume));
    await until('it is being claimed', () => calls.length === 3);
    second.socket.terminate();
    await second.closed;
    await new Promise((resolve) => setTimeout(resolve, 50)); // the server sees it gone
    claim.resolve();
    await until('it is dropped', () => calls.length === 4);
    expect(calls.slice(2)).toEqual([`claim ${session}`, `disclaim ${session}`]);
  });

  test('taken over before its connection is open ends with 4500', async () => {
    const { server, cluster, calls } = await start(transport);
    const first = connect(server);
    const { session, resume } = await first.next('welcome');
    const claim = deferred();
    cluster.claims = () => claim.promise;
    const second = connect(server, '?room=r', String(resume));
    await until('it is being claimed', () => calls.length === 2);
    void cluster.listener.claimed(String(session));
    expect(await first.closed).toBe(4500);
    claim.resolve();
    expect(await second.closed).toBe(4500);
    expect(second.got).toEqual([]);
  });

  test('is closed on the node that stops before it leaves the others', async () => {
    const { server, calls } = await start(transport, { drainWindow: 5 });
    const client = connect(server);
    const { session } = await client.next('welcome');
    await server.stop();
    servers.length = 0;
    expect(calls).toEqual([`claim ${session}`, `disclaim ${session}`, 'close']);
  });
});

describe.each(transports)('while the engine is away on %s', (transport) => {
  test('a handshake is refused with 503 and 4006, and accepted again afterwards', async () => {
    const { server, engine, calls, refused } = await start(transport);
    engine.listener.changed('away');
    const client = connect(server);
    expect(await client.closed).toBe(4006);
    expect(client.got).toMatchObject([{ t: 'error', code: 'unavailable', retry: true }]);
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws`);
    socket.on('error', () => {});
    const [, response] = await once(socket, 'unexpected-response');
    expect(response.statusCode).toBe(503);
    expect(Number(response.headers['retry-after'])).toBeGreaterThanOrEqual(5);
    expect(await refused()).toBe(2);
    expect(calls).toEqual([]);
    engine.listener.changed('ready');
    await connect(server).next('welcome');
  });

  test('a token that is sent later is refused with 4006', async () => {
    const jwtSecret = 'a secret of at least thirty-two bytes';
    const { server, engine } = await start(transport, { auth: 'jwt', jwtSecret });
    const client = connect(server);
    await once(client.socket, 'open');
    engine.listener.changed('away');
    client.socket.send('{"t":"auth","token":"x"}');
    expect(await client.closed).toBe(4006);
    expect(client.got).toMatchObject([{ t: 'error', code: 'unavailable' }]);
  });

  test('a ticket and a login are answered with 503, not as invalid', async () => {
    const { server, cluster } = await start(transport);
    const down = () => Promise.reject(new Error('the store is down'));
    const ticket = '01234567-0123-0123-0123-0123456789ab';
    cluster.tickets.find = down;
    const client = connect(server, `?otp=${ticket}`);
    expect(await client.closed).toBe(4006);
    cluster.tickets.put = down;
    const body = JSON.stringify({ username: 'ada', password: '' });
    const login = await fetch(`${server.url}/login`, { method: 'POST', body });
    expect([login.status, login.headers.get('retry-after')]).toEqual([503, '1']);
    cluster.tickets.find = async () => 'ada';
    cluster.tickets.spend = down;
    expect(await connect(server, `?otp=${ticket}`).closed).toBe(4006);
  });
});

describe('HeldSessions', () => {
  test('gives a claim up after fifteen seconds', async () => {
    const time = new VirtualTime();
    const calls: string[] = [];
    const claims = { claim: () => new Promise<void>(() => {}), disclaim: (session: string) => calls.push(session) };
    const held = new HeldSessions(claims, time);
    const claimed = held.claim('s', false);
    time.advance(14_999);
    expect(calls).toEqual([]);
    time.advance(1);
    expect(await claimed).toBeUndefined();
    expect(calls).toEqual(['s']);
  });

  test('closes a connection whose posts are not decided after a second', async () => {
    const time = new VirtualTime();
    const engine = new ScriptedEngine();
    const hub = new Hub({ engine, clock: time, scheduler: time });
    await hub.open();
    const held = new HeldSessions({ claim() {}, disclaim() {} }, time);
    const reservation = await held.claim('s', true);
    const context = { hub, clock: time, keepalive: new Keepalive(time, time), publishRate: 'off' } as const;
    const client: Client = new Client('s', v1(), context, {
      rooms: ['r'],
      onOpen: () => reservation && held.open(reservation, client),
    });
    const socket = new SimulatedSocket(client, { kernel: 1e6, backpressure: 1e6, closesAtOnce: true });
    client.open(socket);
    time.settle();
    engine.holds = true;
    client.message(Buffer.from('{"t":"send","room":"r","id":"a","data":{}}'), false);
    time.settle();
    const lettingGo = [held.letGo('s'), held.letGo('s')];
    time.advance(999);
    expect(socket.closedWith).toBeUndefined();
    time.advance(1);
    await Promise.all(lettingGo);
    expect(socket.closedWith?.code).toBe(4500);
    expect(await held.letGo('s')).toBeUndefined();
  });
});
