import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { findRedis } from '../redis/install.ts';
import type { RedisProxy } from '../redis/proxy.ts';
import { waitUntil } from '../redis/wait.ts';
import { check } from './checker.ts';
import {
  settledAt,
  startClient,
  startNode,
  startProxiedNodes,
  startProxy,
  startRedis,
  startTextClient,
} from './fixtures.ts';
import { logOf } from './logs.ts';
import { RecordingClient } from './recording-client.ts';

const redis = await findRedis();
beforeEach((context) => context.skip(!redis.path, redis.reason));

/** Matches the command that appends a message with this text. */
const appending = (text: string) => (words: readonly string[]) =>
  words[0] === 'EVALSHA' && words.some((word) => word.includes(text));

/** The texts that a client has read from the history. */
function storedTexts(client: RecordingClient): unknown[] {
  const stored = client.events('history').flatMap(({ messages }) => messages);
  return stored.map(({ data }) => (data as { text: string }).text);
}

/** Runs `act` while no command passes, then lets all commands pass at once. */
async function together(proxies: readonly RedisProxy[], act: () => void): Promise<void> {
  for (const proxy of proxies) proxy.hold('requests');
  act();
  await sleep(200);
  for (const proxy of proxies) proxy.release('requests');
}

test('1: gives a new room one log, which two nodes open and append to at the same instant', async () => {
  const server = await startRedis();
  const { nodes, proxies } = await startProxiedNodes(2, server.port);
  const rooms = Array.from({ length: 40 }, (_, i) => `room ${i}`);
  const pairs: RecordingClient[][] = [];
  // Both nodes read that there is no log before either creates one.
  const opening = proxies.map((proxy) => proxy.holdReply(([name, key]) => name === 'HMGET' && /:m:/.test(key ?? '')));
  for (const room of rooms) {
    pairs.push(nodes.map(({ port }, i) => new RecordingClient({ name: `${i} in ${room}`, ports: [port], room })));
  }
  for (const client of pairs.flat()) client.send();
  try {
    await Promise.all(opening);
    await sleep(200);
    for (const proxy of proxies) proxy.release('replies');
    await Promise.all(pairs.flat().map((client) => settledAt(2, client)));
    const firstLogs = pairs.map(([one]) => logOf(one?.place?.epoch ?? ''));
    // The rooms are new again, and this time the appends create the logs.
    await server.command('FLUSHALL');
    await together(proxies, () => {
      for (const client of pairs.flat()) client.send();
    });
    const moved = (client: RecordingClient, i: number) => logOf(client.place?.epoch ?? '') !== firstLogs[i];
    await waitUntil('all have other logs', () => pairs.every((pair, i) => pair.every((client) => moved(client, i))));
    await Promise.all(pairs.flat().map((client) => settledAt(2, client)));
    await Promise.all(pairs.map(([one]) => one?.readAll()));
    const histories = pairs.flat().map(({ history }) => history);
    expect(check(histories, { settled: true })).toEqual([]);
    // No client has seen a log that another one replaced.
    const logsOf = (client: RecordingClient) => client.events('joined').map(({ epoch }) => logOf(epoch));
    expect(pairs.map((pair) => pair.map(logsOf))).toEqual(
      firstLogs.map((first, i) => {
        const logs = [first, logOf(pairs[i]?.[0]?.place?.epoch ?? '')];
        return [logs, logs];
      }),
    );
    expect(new Set(pairs.flatMap((pair) => pair.flatMap(logsOf))).size).toBe(2 * rooms.length);
  } finally {
    for (const client of pairs.flat()) client.stop();
  }
});

test('2: stores a batch once whose reply is lost, on a wire without ids', async () => {
  const server = await startRedis();
  const proxy = await startProxy(server.port);
  const [node, other] = [await startNode({ redis: [proxy.url] }), await startNode({ redis: [server.url] })];
  const [ada, bob] = [await startTextClient(node), await startTextClient(other)];
  const reader = await startClient('reader', [other], { room: 'lobby' });
  const sent: string[] = [];
  const send = (client: typeof ada, text: string) => {
    sent.push(text);
    client.socket.send(text);
  };
  const arrive = () =>
    waitUntil('all arrive', () => [ada, bob].every((client) => client.messages().length >= sent.length));
  for (const pushes of [false, true]) {
    for (let round = 0; round < 3; round++) {
      const name = `${pushes} ${round}`;
      // The batch is one message or several, and the other node appends before the retry or not.
      const lost = proxy.loseReply(appending(`${name} last`), { pushes });
      for (let i = 0; i < round; i++) send(ada, `${name} ${i}`);
      send(ada, `${name} last`);
      await lost;
      if (round > 0) {
        proxy.refuse();
        await waitUntil('the batch is at the other node', () => bob.messages().at(-1) === `${name} last`);
        send(bob, `${name} between`);
        await waitUntil('a message follows it', () => bob.messages().at(-1) === `${name} between`);
        proxy.accept();
      }
      await arrive();
      send(ada, `${name} next`);
      await arrive();
    }
  }
  expect(bob.messages()).toEqual(sent);
  expect(ada.messages()).toEqual(sent);
  await settledAt(sent.length, reader);
  await reader.readAll();
  expect(storedTexts(reader)).toEqual(sent);
  expect(check([reader.history])).toEqual([]);
});

test('3: refuses the bytes of an old connection that are executed after the retry and after a later batch', async () => {
  const server = await startRedis();
  const proxy = await startProxy(server.port);
  const node = await startNode({ redis: [proxy.url] });
  const ada = await startTextClient(node);
  const reader = await startClient('reader', [node], { room: 'lobby' });
  const sent: string[] = [];
  const send = async (text: string) => {
    sent.push(text);
    ada.socket.send(text);
    await waitUntil(`${text} arrives`, () => ada.messages().at(-1) === text);
  };
  const stall = (text: string) => {
    const stalled = proxy.stall(appending(text));
    sent.push(text);
    ada.socket.send(text);
    return stalled;
  };
  const retried = () => waitUntil('the retry is answered', () => ada.messages().length === sent.length);
  await send('first');
  const beforeRetry = await stall('executed before the retry');
  proxy.refuse();
  const [stored] = await beforeRetry.deliver();
  proxy.accept();
  expect(stored).toHaveLength(6);
  await retried();

  const afterRetry = await stall('executed after the retry');
  await retried();
  const [again] = await afterRetry.deliver();
  expect(again).toEqual([expect.anything(), expect.anything(), '2', '3', expect.anything(), '1']);

  const afterLater = await stall('executed after a later batch');
  await retried();
  await send('later');
  const [fenced] = await afterLater.deliver();
  expect(fenced).toEqual(['fenced']);
  await send('last');
  expect(ada.messages()).toEqual(sent);
  await settledAt(sent.length, reader);
  await reader.readAll();
  expect(storedTexts(reader)).toEqual(sent);
  expect(check([reader.history])).toEqual([]);
});
