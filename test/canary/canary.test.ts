import { writeFileSync } from 'node:fs';
import { connect as connectTcp, createServer } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { freePort } from '../../bench/free-port.ts';
import { Keys } from '../../src/auth/keys.ts';
import { Users } from '../../src/auth/users.ts';
import { canaryRoom } from '../../src/canary/canary.ts';
import { CanaryClient } from '../../src/canary/canary-client.ts';
import { CanaryCounter, createCanaryMemory } from '../../src/canary/readings.ts';
import { loadSdk } from '../../src/canary/sdk.ts';
import { sharedPortProblem } from '../../src/config/shared-ports.ts';
import { type Running, run, serving } from '../cli/command.ts';
import { Peer } from '../conformance/server.ts';
import { temporaryFolder } from '../deploy/proxies.ts';
import { canarySamples, FAULTLESS } from './metrics.ts';

const commands: Running[] = [];
afterEach(async () => {
  await Promise.all(commands.splice(0).map((command) => command.end()));
});

async function start(...flags: string[]) {
  const server = await serving(flags);
  commands.push(server.running);
  return server;
}

/** How often metrics are asked for, in milliseconds: a canary changes them once a second. */
const interval = 250;

/** Waits until the canary has sent and received. */
async function beating(url: string, clients: number): Promise<Record<string, number>> {
  await vi.waitFor(
    async () => {
      const samples = await canarySamples(url);
      expect(samples['up']).toBe(1);
      expect(samples['received_total']).toBeGreaterThanOrEqual(clients * clients);
    },
    { timeout: 15_000, interval },
  );
  return canarySamples(url);
}

const secret = 'x'.repeat(32);

/** Rejects every client but the canary, which it does not see. */
const HOOKS = `export const connect = () => 'nobody'; export const join = () => false; export const send = () => false;`;

const MODES: Record<string, (folder: string) => Promise<string[]>> = {
  'open with hooks that reject everyone': async (folder) => {
    writeFileSync(join(folder, 'hooks.mjs'), HOOKS);
    return ['--hooks', join(folder, 'hooks.mjs')];
  },
  'otp, a wire of its own, a low rate and few connections': async (folder) => {
    await new Users(join(folder, 'users.json')).set('ada', 'secret');
    const limits = ['--wire', 'events', '--publish-rate', '1:1', '--connections-per-address', '1'];
    return ['--auth', 'otp', '--users', join(folder, 'users.json'), ...limits];
  },
  jwt: async () => ['--auth', 'jwt', '--jwt-secret', secret],
};

test.each(Object.entries(MODES))('measures a server with %s', async (_, flagsOf) => {
  const { url, running } = await start('--canary', '2', ...(await flagsOf(temporaryFolder())));
  const samples = await beating(url, 2);
  expect(samples).toMatchObject(FAULTLESS);
  expect(samples['latency_seconds_count']).toBe(samples['received_total']);
  const { code } = await running.end();
  expect(code).toBe(0);
  expect(running.log.filter(({ level }) => Number(level) > 30)).toEqual([]);
});

test.skipIf(sharedPortProblem('uws') !== undefined)(
  'measures a server with two workers and an engine on disk',
  async () => {
    const data = join(temporaryFolder(), 'data');
    const { url, running } = await start('--canary', '3', '--workers', '2', '--engine', 'lmdb', '--data', data);
    expect(await beating(url, 3)).toMatchObject(FAULTLESS);
    expect((await running.end()).code).toBe(0);
    expect(running.log.filter(({ level }) => Number(level) > 30)).toEqual([]);
  },
);

const connect = await loadSdk();

test('measures a server with TLS, by its own certificate or by those that Node trusts', async () => {
  const folder = temporaryFolder();
  expect((await run(['gen-cert', '--out', folder, '--host', 'chat.example'])).code).toBe(0);
  const tls = ['--tls-cert', join(folder, 'cert.pem'), '--tls-key', join(folder, 'key.pem')];
  const { running, url } = await start('--canary', '1', ...tls);
  expect(await running.line('the canary is connected')).toMatchObject({ room: expect.stringContaining('_canary/') });
  const failed = new Promise((resolve) => {
    const options = {
      connect,
      url,
      user: 'canary-2',
      room: '_canary/x',
      run: 'run',
      token: () => '',
      onMembership() {},
    };
    const counter = new CanaryCounter(createCanaryMemory());
    const client = new CanaryClient({ ...options, counter, onFailure: resolve });
    onTestFinished(() => client.close());
  });
  expect(await failed).toBe('self-signed certificate');
});

test('reports an address that it cannot reach once, and comes back', async () => {
  const port = await freePort();
  const { url, running } = await start('--canary', '2', '--canary-url', `http://127.0.0.1:${port}`);
  await running.line('the canary cannot reach');
  expect(await canarySamples(url)).toMatchObject({ up: 0, sent_total: 0 });
  const forwarder = createServer((socket) => {
    const server = connectTcp(Number(new URL(url).port), '127.0.0.1');
    for (const end of [socket, server]) end.on('error', () => {});
    socket.pipe(server).pipe(socket);
  });
  forwarder.listen(port, '127.0.0.1');
  onTestFinished(() => void forwarder.close());
  await running.line('the canary is connected', 15_000);
  expect(running.log.filter(({ msg }) => String(msg).includes('canary'))).toHaveLength(2);
});

test('shows a blocked main loop in its latency', async () => {
  const file = join(temporaryFolder(), 'hooks.mjs');
  writeFileSync(
    file,
    `export const send = () => {
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500);
       return true;
     };`,
  );
  const { url, port } = await start('--canary', '2', '--hooks', file);
  const slow = (samples: Record<string, number>) =>
    (samples['latency_seconds_count'] ?? 0) - (samples['latency_seconds_bucket{le="0.25"}'] ?? 0);
  const before = slow(await beating(url, 2));
  const peer = await Peer.connect(port, '?room=lobby');
  await peer.next('joined');
  peer.send({ t: 'send', room: 'lobby', id: '1', data: 1 });
  await peer.next('sent');
  await vi.waitFor(async () => expect(slow(await canarySamples(url))).toBeGreaterThan(before), {
    timeout: 10_000,
    interval,
  });
  expect(await canarySamples(url)).toMatchObject(FAULTLESS);
});

/** Opens a WebSocket with a token. @returns what the server sends until it closes it. */
function handshake(port: number, token: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1', () =>
      socket.write(
        'GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
          'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: pumphouse.v1\r\n' +
          `Authorization: Bearer ${token}\r\n\r\n`,
      ),
    );
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
      if (answer.includes('not signed in')) socket.destroy();
    });
    socket.on('close', () => resolve(answer));
  });
}

test('admits nobody else to its room, by any way in', async () => {
  const folder = temporaryFolder();
  const keys = join(folder, 'keys.json');
  const key = new Keys(keys).add({ name: 'all', scopes: ['publish', 'read', 'admin'] });
  const { url, port } = await start('--canary', '1', '--keys', keys, '--admin-listen', '127.0.0.1:0');
  const room = canaryRoom(port);
  await beating(url, 1);
  const peer = await Peer.connect(port, `?room=${encodeURIComponent(room)}`);
  expect(await peer.next('error')).toMatchObject({ code: 'forbidden', message: 'the room is reserved for the server' });
  peer.send({ t: 'send', room, id: '1', data: 1 });
  expect(await peer.next('error')).toMatchObject({ code: 'not_member' });
  const segment = encodeURIComponent(room);
  expect((await fetch(`${url}/api/v1/rooms/${segment}/events`)).status).toBe(403);
  const json = { 'content-type': 'application/json' };
  const post = { method: 'POST', headers: json, body: JSON.stringify({ room_id: room, message: 'x' }) };
  expect((await fetch(`${url}/publish`, post)).status).not.toBe(202);
  const headers = { ...json, authorization: `Bearer ${key}` };
  const body = JSON.stringify({ room, data: 1 });
  expect((await fetch(`${url}/api/v1/publish`, { method: 'POST', headers, body })).status).toBe(403);
  expect((await fetch(`${url}/api/v1/rooms/${segment}/messages`, { headers })).status).toBe(403);
  const listed = (await (await fetch(`${url}/api/v1/rooms`, { headers })).json()) as { rooms: unknown };
  expect(listed.rooms).toEqual([]);
  expect(await handshake(port, 'canary.e30.AAAA')).toContain('not signed in');
});

test('names its room by the host and the port, within the bytes of a room name', () => {
  expect(canaryRoom(8080)).toBe(`_canary/${hostname()}:8080`);
  const room = canaryRoom(65_535, 'ü'.repeat(200));
  expect(Buffer.byteLength(room)).toBeLessThanOrEqual(128);
  expect(room).toMatch(/^_canary\/ü+:65535$/);
});
