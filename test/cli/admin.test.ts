import { request } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Keys } from '../../src/auth/keys.ts';
import { temporaryFolder } from '../deploy/proxies.ts';
import { Running, type Running as RunningCommand } from './command.ts';

const commands: RunningCommand[] = [];
afterEach(async () => {
  await Promise.all(commands.splice(0).map((command) => command.end()));
});

async function launch(...flags: string[]) {
  const running = new Running(['serve', '--port', '0', '--engine', 'memory', '--host', '127.0.0.1', ...flags]);
  const urlIn = async (message: string) =>
    /https?:\S+/.exec(String((await running.line(message))['msg']))?.[0] as string;
  return { running, url: await urlIn('serves http'), admin: () => urlIn('serves operators') };
}

/** Starts a server that runs until the test ends. */
async function start(...flags: string[]) {
  const server = await launch(...flags);
  commands.push(server.running);
  return server;
}

const LOOPBACK = ['--admin-listen', '127.0.0.1:0'];

let single: Awaited<ReturnType<typeof launch>>;
beforeAll(async () => {
  single = await launch(...LOOPBACK);
});
afterAll(() => single.running.end());

/** Sends a request whose headers fetch would not send. @returns its status. */
function statusOf(url: string, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(url, { headers }, (response) => resolve(response.resume().statusCode))
      .on('error', reject)
      .end();
  });
}

test('serves metrics to nobody unless a setting says so', async () => {
  const { url } = await start();
  expect((await fetch(`${url}/metrics`)).status).toBe(404);
  const open = await start('--public-metrics', 'on');
  const page = await (await fetch(`${open.url}/metrics`)).text();
  expect(page).toContain('pumphouse_connections 0');
  expect(page).not.toContain('pumphouse_canary');
});

describe.each([[], ['--workers', '2']])('the admin listener of a server with %j', (...workers) => {
  test('serves metrics, probes and profiles on a loopback address without a key', async () => {
    const { url, admin } = workers.length > 0 ? await start(...LOOPBACK, ...workers) : single;
    const address = await admin();
    expect((await fetch(`${url}/metrics`)).status).toBe(404);
    const page = await (await fetch(`${address}/metrics`)).text();
    expect(page).toMatch(/^pumphouse_turn_duration_seconds_bucket\{.*le="\+Inf".*\} \d+$/m);
    expect(page).toMatch(/^pumphouse_headroom_ratio(\{worker="1"\})? (0\.\d+|1)$/m);
    expect(await (await fetch(`${address}/readyz`)).text()).toBe('ok\n');
    expect((await fetch(`${address}/elsewhere`)).status).toBe(404);
    const root = await fetch(`${address}/`);
    expect(await root.text()).toContain('The Hub at work');
    expect(root.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
    expect((await fetch(`${address}/metrics`, { method: 'POST' })).status).toBe(405);
    for (const worker of workers.length > 0 ? ['', '&worker=2'] : ['']) {
      const profile = await fetch(`${address}/admin/v1/profile?seconds=1${worker}`, { method: 'POST' });
      const { nodes, samples } = (await profile.json()) as Record<string, unknown[]>;
      expect([nodes?.length, samples?.length].every((length) => Number(length) > 0)).toBe(true);
    }
  });
});

test('rejects profiles that it cannot record', async () => {
  const { admin } = single;
  const profile = async (query: string) =>
    (await fetch(`${await admin()}/admin/v1/profile${query}`, { method: 'POST' })).status;
  expect(await Promise.all(['?seconds=0', '?seconds=61', '?seconds=x', '?worker=1'].map(profile))).toEqual([
    400, 400, 400, 400,
  ]);
  expect((await Promise.all([profile('?seconds=1'), profile('?seconds=1')])).sort()).toEqual([200, 409]);
});

test("refuses requests that another site's page makes a browser send", async () => {
  const { admin } = single;
  const url = `${await admin()}/metrics`;
  expect(await statusOf(url, { host: 'rebound.example' })).toBe(403);
  expect(await statusOf(url, { origin: 'https://elsewhere.example' })).toBe(403);
  expect(await statusOf(url, { origin: await admin() })).toBe(200);
});

test('asks for a key with the scope admin on other addresses, except at the probes and the page', async () => {
  const file = `${temporaryFolder()}/keys.json`;
  const keys = new Keys(file);
  const key = keys.add({ name: 'prometheus', scopes: ['admin'] });
  const other = keys.add({ name: 'backend', scopes: ['publish', 'read'] });
  const { running, admin } = await start('--admin-listen', '0.0.0.0:0', '--keys', file);
  const address = (await admin()).replace('0.0.0.0', '127.0.0.1');
  expect(running.log.some(({ msg }) => String(msg).includes('receives keys without encryption'))).toBe(true);
  const status = async (path: string, sent?: string) =>
    (await fetch(`${address}${path}`, sent === undefined ? {} : { headers: { authorization: `Bearer ${sent}` } }))
      .status;
  expect(await status('/metrics')).toBe(401);
  expect(await status('/metrics', other)).toBe(403);
  expect(await status('/metrics', `${key.slice(0, -1)}_`)).toBe(401);
  expect(await status('/metrics', key)).toBe(200);
  expect(await status('/livez')).toBe(200);
  expect(await status('/')).toBe(200);
  expect(await status('/assets/missing.js')).toBe(404);
  expect(await status('/admin/v1/events')).toBe(401);
  keys.remove('prometheus');
  expect(await status('/metrics', key)).toBe(401);
});

test('names the address that the admin listener cannot have', async () => {
  const { admin } = single;
  const taken = new URL(await admin()).host;
  const second = new Running(['serve', '--port', '0', '--engine', 'memory', '--admin-listen', taken]);
  const { code, stderr } = await second.ended;
  expect(code).toBe(2);
  expect(stderr).toContain(`adminListen: ${taken} is in use by another program`);
});
