import { afterEach, expect, test } from 'vitest';
import { waitUntil } from '../redis/wait.ts';
import { check } from './checker.ts';
import { NodeProcess, startNodes } from './node-process.ts';
import { RecordingClient } from './recording-client.ts';

const nodes: NodeProcess[] = [];
const clients: RecordingClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.stop();
  await Promise.all(nodes.splice(0).map((node) => node.kill()));
});

async function start(count: number): Promise<NodeProcess[]> {
  const started = await startNodes(count);
  nodes.push(...started);
  return started;
}

function connect(name: string, ...ports: readonly number[]): RecordingClient {
  const client = new RecordingClient({ name, ports });
  clients.push(client);
  return client;
}

test('stops, continues, ends and restarts nodes', async () => {
  const [node, other] = (await start(2)) as [NodeProcess, NodeProcess];
  expect(node.port).not.toBe(other.port);
  node.pause();
  expect(await node.status('/healthz')).toBeUndefined();
  expect(await other.status('/healthz')).toBe(200);
  node.resume();
  await waitUntil('the node answers again', async () => (await node.status('/healthz')) === 200);
  await node.kill('SIGTERM');
  expect(node.exitCode).toBe(0);
  await node.restart();
  expect(await node.status('/healthz')).toBe(200);
  await node.kill();
  expect([node.running, node.exitCode]).toEqual([false, undefined]);
});

test('reports the log of a node that cannot start', async () => {
  await expect(NodeProcess.start({ flags: ['--retain', 'nothing'] })).rejects.toThrow('--retain');
});

test('records lives that the checker accepts: resumes, retries, history and a replaced log', async () => {
  const [node] = (await start(1)) as [NodeProcess];
  const [ada, bob] = [connect('ada', node.port), connect('bob', node.port)];
  await waitUntil('both have joined', () => ada.joined && bob.joined);
  for (let i = 0; i < 20; i++) {
    ada.send();
    bob.send({ text: `hello ${i}` });
    if (i % 5 === 0) ada.disconnect();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await Promise.all([ada.settled(), bob.settled()]);
  await waitUntil('both received all', () => ada.place?.seq === 40 && bob.place?.seq === 40);
  await bob.readAll();
  expect(bob.events('history').flatMap(({ messages }) => messages)).toHaveLength(40);
  expect(check([ada.history, bob.history], { settled: true })).toEqual([]);
  expect(ada.events('opened').length).toBeGreaterThan(1);
  expect(new Set(ada.events('welcome').map(({ session }) => session)).size).toBe(1);
  await node.restart();
  await waitUntil('both have joined the new log', () => ada.joined && bob.joined);
  const sent = [ada.send(), bob.send()];
  await Promise.all([ada.settled(), bob.settled()]);
  await waitUntil('both received the new messages', () => ada.place?.seq === 2 && bob.place?.seq === 2);
  expect(
    ada
      .events('message')
      .slice(-2)
      .map(({ id }) => id)
      .sort(),
  ).toEqual(sent.sort());
  expect(check([ada.history, bob.history], { settled: true })).toEqual([]);
});

test('records a history in which the checker finds the members of two servers that share nothing', async () => {
  const [one, two] = (await start(2)) as [NodeProcess, NodeProcess];
  const [ada, bob] = [connect('ada', one.port), connect('bob', two.port)];
  await waitUntil('both have joined', () => ada.joined && bob.joined);
  ada.send();
  await ada.settled();
  const kinds = check([ada.history, bob.history], { settled: true }).map(({ kind }) => kind);
  expect(kinds).toEqual(['unsettled']);
});
