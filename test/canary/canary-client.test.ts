import { setTimeout as sleep } from 'node:timers/promises';
import { SignJWT } from 'jose';
import { createServer } from 'pumphouse';
import { expect, onTestFinished, test, vi } from 'vitest';
import { CanaryClient, type CanaryClientOptions } from '../../src/canary/canary-client.ts';
import { CanaryCounter, CanaryReader, createCanaryMemory } from '../../src/canary/readings.ts';
import { loadSdk } from '../../src/canary/sdk.ts';
import { FrameProxy, forward } from './frame-proxy.ts';

const secret = 'x'.repeat(32);
const USERS = ['one', 'two'];

const tokenOf = (user: string) =>
  new SignJWT().setProtectedHeader({ alg: 'HS256' }).setSubject(user).setExpirationTime('1h').sign(Buffer.from(secret));

/** Starts two clients behind a proxy, whose first messages have arrived. */
async function start(times: Pick<CanaryClientOptions, 'graceMs' | 'ackMs'> = {}) {
  const server = await createServer({ port: 0, host: '127.0.0.1', auth: 'jwt', jwtSecret: secret });
  onTestFinished(() => server.stop());
  const proxy = new FrameProxy(server.port);
  onTestFinished(() => proxy.close());
  const memory = createCanaryMemory();
  const counter = new CanaryCounter(memory);
  const readings = new CanaryReader(memory, USERS.length);
  const failures: string[] = [];
  const ups: boolean[] = [];
  const [url, connect] = [await proxy.url(), await loadSdk()];
  const tokens = await Promise.all(USERS.map(tokenOf));
  const clients: CanaryClient[] = [];
  for (const [i, user] of USERS.entries()) {
    const options = { connect, url, user, room: 'lobby', run: 'run', counter, ...times };
    const client = new CanaryClient({
      ...options,
      token: () => tokens[i] as string,
      onMembership: () => {
        counter.setConnected(clients.filter(({ isMember }) => isMember).length);
        ups.push(readings.up);
      },
      onFailure: (why) => failures.push(why),
    });
    clients.push(client);
    onTestFinished(() => client.close());
  }
  const beat = () => {
    for (const client of clients) client.beat();
  };
  /** Waits until so many messages have arrived at all clients together. */
  const received = (number: number) => vi.waitFor(() => expect(readings.count('received')).toBe(number), 10_000);
  const acknowledged = () =>
    vi.waitFor(() => expect(clients.every(({ unacknowledged }) => unacknowledged === 0)).toBe(true), 10_000);
  /** Waits until a fault is counted, which a beat does. */
  const counted = (of: Parameters<CanaryReader['count']>[0], number: number) =>
    vi.waitFor(() => {
      beat();
      expect(readings.count(of)).toBe(number);
    }, 10_000);
  const up = () => vi.waitFor(() => expect(readings.up).toBe(true), 15_000);
  /** Waits until they have been down after they were up, for however short a time. */
  const down = () => vi.waitFor(() => expect(ups.slice(ups.indexOf(true))).toContain(false), 15_000);
  const faults = () =>
    (['gaps', 'repeats', 'swaps', 'lostAcks', 'reconnects'] as const).map((of) => readings.count(of));
  await up();
  beat();
  await received(4);
  return { proxy, readings, failures, beat, received, acknowledged, counted, up, down, faults };
}

test('counts no fault of a connection without one', async () => {
  const { beat, received, faults, failures } = await start();
  beat();
  await received(8);
  beat();
  expect(faults()).toEqual([0, 0, 0, 0, 0]);
  expect(failures).toEqual([]);
});

test('counts messages that were dropped', async () => {
  const { proxy, beat, acknowledged, counted, faults } = await start({ graceMs: 50 });
  proxy.rule = () => {};
  beat();
  await acknowledged();
  proxy.rule = forward;
  await counted('gaps', 4);
  expect(faults()).toEqual([4, 0, 0, 0, 0]);
});

test('counts messages that came twice, which the library hides', async () => {
  const { proxy, beat, received, counted, faults } = await start();
  proxy.rule = (send) => {
    send();
    send();
  };
  beat();
  await received(12);
  proxy.rule = forward;
  await counted('repeats', 4);
  expect(faults()).toEqual([0, 4, 0, 0, 0]);
});

test('counts messages that came after later ones, and their latency', async () => {
  const { proxy, beat, received, acknowledged, counted, faults, readings } = await start();
  const held: (() => void)[] = [];
  proxy.rule = (send) => held.push(send);
  beat();
  await acknowledged();
  await sleep(60);
  proxy.rule = forward;
  beat();
  await received(8);
  for (const send of held) send();
  await received(12);
  await counted('swaps', 4);
  expect(faults()).toEqual([0, 0, 4, 0, 0]);
  const { counts, bounds } = readings.latency;
  expect(counts.slice(bounds.indexOf(50) + 1).reduce((sum, count) => sum + count)).toBeGreaterThanOrEqual(4);
});

test('counts sends without an acknowledgement in time', async () => {
  const { proxy, beat, readings } = await start({ ackMs: 100 });
  proxy.isDeaf = true;
  const before = readings.count('lostAcks');
  beat();
  await vi.waitFor(() => {
    beat();
    expect(readings.count('lostAcks')).toBeGreaterThanOrEqual(before + 2);
  }, 10_000);
});

test('counts lost connections, reports why, and continues without a gap', async () => {
  const { proxy, beat, received, up, down, faults, failures, readings } = await start();
  proxy.cut();
  await down();
  await up();
  const before = readings.count('received');
  beat();
  await received(before + 4);
  beat();
  expect(faults()).toEqual([0, 0, 0, 0, 2]);
  expect(failures.length).toBeGreaterThanOrEqual(2);
});
