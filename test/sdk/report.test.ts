import { connect } from 'pumphouse/client';
import { expect, onTestFinished, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { explainEnd } from '../../src/protocol/explain-life.ts';
import { lifeOf, serve, sessionOf, startProxy } from '../lives/admin.ts';
import { FakeSocket, lastSocket } from './fakes.ts';

const WAIT = { timeout: 10_000 };

test('a client of the library reports the cut of a proxy, over a WebSocket', async () => {
  const { server, admin } = await serve();
  const proxy = await startProxy(server.url);
  const hub = connect(proxy.url, { WebSocket, user: 'ada', transport: 'websocket' });
  onTestFinished(() => hub.close());
  hub.join('r');
  await vi.waitUntil(() => hub.state.name === 'live', WAIT);
  const { session } = hub.state as { session: string };
  await lifeOf(admin, 'ada', ({ events }) => events.length > 0);
  proxy.cut();
  const life = await lifeOf(admin, 'ada', ({ report }) => report !== undefined);
  expect(life).toMatchObject({ session, end: { code: 1006, by: 'peer' }, report: { code: 1006 } });
  expect(explainEnd(life).meaning).toContain('something between both cut it');
  const { connections } = await sessionOf(admin, session);
  expect(connections.map(({ report, resumed, end }) => [report?.code, resumed, end?.code])).toEqual([
    [undefined, true, undefined],
    [1006, false, 1006],
  ]);
});

test('a client of the library reports over HTTP', async () => {
  const { server, admin } = await serve();
  const proxy = await startProxy(server.url);
  const hub = connect(proxy.url, { user: 'ada', transport: 'http' });
  onTestFinished(() => hub.close());
  await vi.waitUntil(() => hub.state.name === 'live', WAIT);
  proxy.cut();
  const life = await lifeOf(admin, 'ada', ({ report }) => report !== undefined);
  expect(life).toMatchObject({ wire: 'v1-sse', report: { code: 1006 } });
  expect(life.end).toBeDefined();
});

/** Connects a client to a server that the test plays, and loses the connection. */
async function reportAfter(end: () => void, reports?: true) {
  const hub = connect('http://hub.test', { WebSocket: FakeSocket, transport: 'websocket' });
  onTestFinished(() => hub.close());
  const { length } = FakeSocket.all;
  await vi.waitUntil(() => FakeSocket.all.length > 0 && hub.state.name === 'connecting' && !lastSocket().closed);
  lastSocket().welcome({ reports });
  end();
  const sockets = Math.max(length, FakeSocket.all.length);
  hub.reconnect();
  await vi.waitUntil(() => FakeSocket.all.length > sockets || lastSocket().closed === false);
  lastSocket().welcome({ reports });
  return { hub, socket: lastSocket() };
}

test('reports the code, the reason and the times, once for each end', async () => {
  const { socket, hub } = await reportAfter(() => lastSocket().disconnect(4000, `${'é'.repeat(62)}!`), true);
  await vi.waitUntil(() => socket.received.some(({ t }) => t === 'report'));
  const [report] = socket.take('report');
  expect(report).toEqual({
    t: 'report',
    code: 4000,
    reason: 'é'.repeat(61),
    after: expect.any(Number),
    away: expect.any(Number),
  });
  expect(report?.after).toBeGreaterThanOrEqual(0);
  lastSocket().welcome({ reports: true });
  await import('../../web/sdk/report.ts');
  expect(hub.state.name).toBe('live');
  expect(socket.take('report')).toEqual([]);
});

test('reports a connection that it gave up without a code', async () => {
  const { socket } = await reportAfter(() => lastSocket().deliver('not JSON'), true);
  await vi.waitUntil(() => socket.received.some(({ t }) => t === 'report'));
  expect(socket.take('report')).toMatchObject([{ reason: 'the server sent a line that is not JSON' }]);
});

test('sends no report to a server that does not ask for it', async () => {
  const { socket, hub } = await reportAfter(() => lastSocket().disconnect());
  await import('../../web/sdk/report.ts');
  expect(hub.state.name).toBe('live');
  expect(socket.take('report')).toEqual([]);
});
