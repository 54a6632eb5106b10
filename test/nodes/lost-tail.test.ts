import { beforeEach, expect, test } from 'vitest';
import { closes } from '../../src/protocol/close-codes.ts';
import { findRedis } from '../redis/install.ts';
import type { RedisProcess } from '../redis/redis-process.ts';
import { waitUntil } from '../redis/wait.ts';
import { check } from './checker.ts';
import { settledAt, startClient, startGroup, startNode, startProxiedNodes, startTextClient } from './fixtures.ts';
import type { RecordingClient } from './recording-client.ts';

const redis = await findRedis();
beforeEach((context) => context.skip(!redis.path, redis.reason));

/** A primary, its replica, and two nodes that reach the primary through proxies. */
async function startPair() {
  const group = await startGroup({ replicas: 1 });
  const [primary, replica] = group.servers as [RedisProcess, RedisProcess];
  const { nodes, proxies } = await startProxiedNodes(2, primary.port);
  const [[one, two], [toOne, toTwo]] = [nodes, proxies];
  if (!one || !two || !toOne || !toTwo) throw new Error('a node is missing');
  return { group, primary, replica, one, two, toOne, toTwo };
}

/** Sends messages and waits until clients have received them. */
async function send(count: number, sender: RecordingClient, ...receivers: readonly RecordingClient[]): Promise<void> {
  const seq = (sender.place?.seq ?? 0) + count;
  for (let i = 0; i < count; i++) sender.send();
  await settledAt(seq, sender, ...receivers);
}

/** Connects clients that have stayed away. A node that is away refuses them until it is ready. */
function comeBack(...clients: readonly RecordingClient[]): void {
  for (const client of clients) {
    client.reconnects = true;
    client.connect();
  }
}

const lastJoined = (client: RecordingClient) => client.events('joined').at(-1);

test('4: tells a client that resumes below the new head what it lost, though another node wrote over it (N2 N3 N4)', async () => {
  const { group, primary, replica, one, two, toOne, toTwo } = await startPair();
  const [ada, bob, late] = [
    await startClient('ada', [one]),
    await startClient('bob', [two]),
    await startClient('late', [one, two], { reconnects: false }),
  ];
  // These two have left before the tail, and in its middle.
  const early = await startClient('early', [one, two], { reconnects: false });
  const middle = await startClient('middle', [one, two], { reconnects: false });
  await send(10, ada, bob, late, early, middle);
  await group.replicated(primary);
  early.disconnect();
  await group.loseTail(primary, async () => {
    await send(2, ada, bob, late, middle);
    middle.disconnect();
    await send(3, bob, ada, late);
    late.disconnect();
    toOne.refuse();
  });
  await replica.promote();
  toTwo.retarget(replica.port);
  await waitUntil('bob is on the new primary', () => bob.place?.seq === 10);
  const epoch = bob.place?.epoch as string;
  expect(lastJoined(bob)).toMatchObject({ seq: 10, recovered: false, lost: { from: 11, to: 15 } });
  await send(8, bob);

  comeBack(early, middle, late);
  await settledAt(18, early, middle, late);
  const old = late.events('joined')[0]?.epoch;
  expect(old).not.toBe(epoch);
  expect(late.events('join').at(-1)?.since).toEqual({ epoch: old, seq: 15 });
  expect(lastJoined(late)).toMatchObject({ epoch, seq: 10, recovered: false, lost: { from: 11, to: 15 } });
  expect(lastJoined(middle)).toMatchObject({ epoch, seq: 10, recovered: false, lost: { from: 11, to: 12 } });
  expect(lastJoined(early)).toMatchObject({ epoch, seq: 10, recovered: true });
  expect(lastJoined(early)?.lost).toBeUndefined();

  toOne.retarget(replica.port);
  toOne.accept();
  await settledAt(18, ada);
  expect(lastJoined(ada)).toMatchObject({ epoch, seq: 10, recovered: false, lost: { from: 11, to: 15 } });
  expect(ada.events('closed')).toEqual([]); // it was told while it was connected
  await send(1, ada, bob, early, middle, late);
  await bob.readAll();
  const clients = [ada, bob, early, middle, late];
  expect(
    check(
      clients.map(({ history }) => history),
      { settled: true },
    ),
  ).toEqual([]);
}, 60_000);

test('5: tells the minority of a healed split brain what it lost, and leaves the majority undisturbed (N3 N4 N5)', async () => {
  const { primary, replica, one, two, toOne, toTwo, group } = await startPair();
  const [ada, ann] = [await startClient('ada', [one]), await startClient('ann', [one])];
  const [bob, ben] = [await startClient('bob', [two]), await startClient('ben', [two])];
  const cross = await startClient('cross', [two]);
  const [tea, tom] = [await startTextClient(one), await startTextClient(two)];
  await send(10, ada, ann, bob, ben, cross);
  tea.socket.send('to both');
  await waitUntil('both have it', () => tea.messages().length === 1 && tom.messages().length === 1);
  await group.replicated(primary);
  await group.loseTail(primary, () => {}, { kill: false });
  await replica.promote();
  toTwo.retarget(replica.port);
  toTwo.cut();
  await waitUntil('the majority is on the new primary', () =>
    [bob, ben, cross].every((c) => c.events('joined').length === 2),
  );
  for (const client of [bob, ben]) {
    expect(lastJoined(client)).toMatchObject({ seq: 10, recovered: true });
    expect(lastJoined(client)?.epoch).not.toBe(ada.place?.epoch);
  }
  // Both sides write the same seqs, and neither sees the other's.
  await Promise.all([send(5, ada, ann), send(7, bob, ben)]);
  await Promise.all([send(2, ann, ada), send(2, ben, bob, cross)]);
  tea.socket.send('lost');
  tom.socket.send('kept');
  await waitUntil('each has its own', () => tea.messages().length === 2 && tom.messages().length === 2);
  // The minority does not know the majority's term, and still names exactly what it lacks.
  cross.ports = [one.port];
  cross.disconnect();
  await settledAt(17, cross);
  expect(cross.events('join').at(-1)?.since).toEqual({ epoch: bob.place?.epoch, seq: 19 });
  expect(lastJoined(cross)).toMatchObject({ seq: 10, recovered: false, lost: { from: 11, to: 19 } });
  cross.ports = [two.port];
  cross.disconnect();
  await settledAt(19, cross);
  expect(lastJoined(cross)).toMatchObject({ seq: 10, recovered: false, lost: { from: 11, to: 17 } });
  const before = [bob, ben].map(({ history }) => history.events.length);

  await primary.replicate(replica.port);
  toOne.retarget(replica.port);
  await settledAt(19, ada, ann);
  for (const client of [ada, ann]) {
    expect(lastJoined(client)).toMatchObject({ seq: 10, recovered: false, lost: { from: 11, to: 17 } });
    expect(lastJoined(client)?.epoch).toBe(bob.place?.epoch);
    expect(client.events('closed')).toEqual([]);
  }
  await send(3, ada, ann, bob, ben, cross);
  const since = [bob, ben].flatMap(({ history }, i) => history.events.slice(before[i]).map(({ kind }) => kind));
  expect(since).toEqual(new Array(6).fill('message'));
  await waitUntil('tea is closed', () => tea.socket.readyState === tea.socket.CLOSED);
  expect(await tea.closed).toEqual(closes.lostTail);
  tom.socket.send('last');
  await waitUntil('it arrives', () => tom.messages().length === 3);
  expect([tea.messages(), tom.messages()]).toEqual([
    ['to both', 'lost'],
    ['to both', 'kept', 'last'],
  ]);
  await bob.readAll();
  const clients = [ada, ann, bob, ben, cross];
  expect(
    check(
      clients.map(({ history }) => history),
      { settled: true },
    ),
  ).toEqual([]);
}, 60_000);

test('6: recovers every place after failovers that lose nothing, also of two epochs before (N1 N2 N4)', async () => {
  const group = await startGroup({ replicas: 1, sentinels: 1 });
  const [primary, replica] = group.servers as [RedisProcess, RedisProcess];
  const { sentinels } = group;
  if (!sentinels) throw new Error('the sentinels are missing');
  const options = { redis: sentinels.urls, sentinel: sentinels.name };
  const nodes = await Promise.all([startNode(options), startNode(options)]);
  const [ada, bob] = [await startClient('ada', [nodes[0]]), await startClient('bob', [nodes[1]])];
  const [early, head, roamer] = [
    await startClient('early', nodes, { reconnects: false }),
    await startClient('head', nodes, { reconnects: false }),
    await startClient('roamer', nodes),
  ];
  await send(3, ada, bob, early, head, roamer);
  early.disconnect();
  await send(7, bob, ada, head, roamer);
  head.disconnect();
  await group.replicated(primary);

  await primary.kill();
  for (let i = 0; i < 5; i++) for (const client of [ada, bob, roamer]) client.send();
  roamer.disconnect();
  expect(await sentinels.failedOver(primary.port)).toBe(replica.port);
  await settledAt(25, ada, bob, roamer);
  comeBack(head);
  await settledAt(25, head);
  // A member's epoch changes on an open connection, too.
  await replica.command('DEBUG', 'CHANGE-REPL-ID');
  const epochs = (client: RecordingClient) => new Set(client.events('joined').map(({ epoch }) => epoch)).size;
  await waitUntil('the members are told', () => [ada, bob, roamer].every((client) => epochs(client) === 3));
  await send(2, ada, bob, roamer, head);
  comeBack(early);
  await settledAt(27, early);

  // What was in flight at the failover is answered once, on the same connection.
  for (const client of [ada, bob]) {
    const sent = client.events('send').map(({ id }) => id);
    expect(client.events('sent').map(({ id }) => id)).toEqual(sent);
    expect([...client.events('error'), ...client.events('closed')]).toEqual([]);
  }
  const clients = [ada, bob, early, head, roamer];
  expect(early.events('join').at(-1)?.since).toEqual({ epoch: early.events('joined')[0]?.epoch, seq: 3 });
  for (const client of clients) {
    const { name } = client.history;
    const joined = client.events('joined');
    expect(joined.map(({ recovered, lost }) => ({ name, recovered, lost }))).toEqual(
      joined.map(() => ({ name, recovered: true, lost: undefined })),
    );
    expect(client.events('gap')).toEqual([]);
    expect(client.events('message').map(({ seq }) => seq)).toEqual(Array.from({ length: 27 }, (_, i) => i + 1));
  }
  await early.readAll();
  expect(
    check(
      clients.map(({ history }) => history),
      { settled: true },
    ),
  ).toEqual([]);
}, 90_000);
