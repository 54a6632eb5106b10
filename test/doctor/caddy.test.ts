import { createServer, type Server } from 'pumphouse';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../bench/free-port.ts';
import { findProgram } from '../deploy/install.ts';
import { startCaddy } from '../deploy/proxies.ts';
import { examine } from './examine.ts';
import { type Sites, startCaddySites } from './sites.ts';

const caddy = await findProgram('caddy');

describe('behind Caddy', () => {
  let server: Server;
  let distrustful: Server;
  let sites: Sites<string>;

  beforeAll(async () => {
    if (!caddy.path) return;
    [server, distrustful] = await Promise.all([
      createServer({ port: 0, trustProxy: ['127.0.0.1'] }),
      createServer({ port: 0 }),
    ]);
    const [port, other, closed] = [server.port as number, distrustful.port as number, await freePort()];
    const site = (at: number, upstream: number, lines = '', around = '') =>
      `http://127.0.0.1:${at} {\n${around}\nreverse_proxy 127.0.0.1:${upstream} {\n${lines}\n}\n}`;
    sites = await startCaddySites(caddy.path, {
      noUpgrade: (at: number) => site(at, port, 'header_up -Upgrade'),
      otherHost: (at: number) => site(at, port, 'header_up Host {upstream_hostport}'),
      notForwarded: (at: number) => site(at, port, 'header_up -X-Forwarded-For'),
      notTrusted: (at: number) => site(at, other),
      timeout: (at: number) => site(at, port, 'transport http {\nread_timeout 2s\n}'),
      buffered: (at: number) =>
        site(at, port, '', `@events path */events\nreverse_proxy @events 127.0.0.1:${port} {\nbuffer_responses\n}`),
      down: (at: number) => site(at, closed),
      noProtocol: (at: number) => site(at, port, 'header_up -Sec-WebSocket-Protocol'),
      gzip: (at: number) =>
        site(at, port, '', 'encode {\ngzip\nminimum_length 1\nmatch {\nheader Content-Type text/event-stream*\n}\n}'),
      stranger: (at: number) => `http://127.0.0.1:${at} {\nrespond "Hello"\n}`,
    });
  });
  afterAll(async () => {
    await sites?.stop();
    await Promise.all([server?.stop(), distrustful?.stop()]);
  });

  const at = (name: string) => sites.urls[name] as string;

  test('finds nothing to change with deploy/Caddyfile', async (context) => {
    context.skip(!caddy.path, caddy.reason);
    const proxy = await startCaddy(caddy.path ?? '', [server.port as number]);
    const examined = await examine(proxy.url);
    expect(examined.failed).toEqual([]);
    expect(examined.code).toBe(0);
    expect(examined.output).toContain('through Caddy');
    expect(examined.of('tls')).toMatchObject({ measured: { alpn: 'h2' } });
  });

  interface Case {
    readonly site: string;
    readonly fails: readonly string[];
    readonly detail: string | RegExp;
    readonly lines: readonly string[];
  }
  const cases: readonly Case[] = [
    {
      site: 'noUpgrade',
      fails: ['websocket'],
      detail: /^HTTP 400 instead of 101/,
      lines: ['caddy, add\n      reverse_proxy 127.0.0.1:8080\n', 'caddy, remove\n      header_up -Upgrade\n'],
    },
    {
      site: 'otherHost',
      fails: ['origin'],
      detail: /^closed with 4502/,
      lines: ['caddy, add\n      header_up Host {hostport}\n'],
    },
    {
      site: 'notForwarded',
      fails: ['address'],
      detail: /sees 127.0.0.1, the proxy/,
      lines: ['caddy, remove\n      header_up -X-Forwarded-For\n'],
    },
    {
      site: 'notTrusted',
      fails: ['address'],
      detail: /sees 127.0.0.1, the proxy/,
      lines: ['pumphouse serve --trust-proxy 127.0.0.1'],
    },
    {
      site: 'down',
      fails: ['http', 'websocket'],
      detail: 'HTTP 502: the proxy gets no answer',
      lines: ['caddy, add\n      reverse_proxy 127.0.0.1:8080\n'],
    },
    {
      site: 'noProtocol',
      fails: ['subprotocol'],
      detail: 'none is selected instead of pumphouse.v1',
      lines: ['caddy, remove\n      header_up -Sec-WebSocket-Protocol\n'],
    },
    {
      site: 'gzip',
      fails: ['session-events', 'room-events'],
      detail: 'compressed with gzip',
      lines: ['@compressible not path /api/v1/*\n      encode @compressible gzip'],
    },
    {
      site: 'stranger',
      fails: ['http', 'websocket'],
      detail: 'not Pumphouse: HTTP 200 for /api/v1/address',
      lines: ['reverse_proxy 127.0.0.1:8080'],
    },
  ];

  test.concurrent.for(cases)('finds what is wrong: $site', async ({ site, fails, detail, lines }, { skip, expect }) => {
    skip(!caddy.path, caddy.reason);
    const examined = await examine(at(site));
    expect(examined.failed).toEqual(fails);
    expect(examined.code).toBe(1);
    expect(examined.of(fails[0] as string).detail).toMatch(detail);
    for (const line of lines) expect(examined.output).toContain(line);
    expect(examined.output).not.toContain('nginx');
  });

  test.concurrent('finds a read timeout that is shorter than the ping period', async ({ skip, expect }) => {
    skip(!caddy.path, caddy.reason);
    const examined = await examine(at('timeout'), { idleMs: 10_000 });
    expect(examined.failed).toEqual(['idle']);
    expect(examined.output).toContain('caddy, remove\n      read_timeout …\n');
    expect(examined.code).toBe(1);
  });

  test.concurrent('finds a buffer that holds events back', async ({ skip, expect }) => {
    skip(!caddy.path, caddy.reason);
    const examined = await examine(at('buffered'), { timeoutMs: 4_000 });
    expect(examined.failed).toEqual(['session-events', 'room-events']);
    expect(examined.output).toContain('caddy, add\n      flush_interval -1\n');
    expect(examined.code).toBe(1);
  });
});
