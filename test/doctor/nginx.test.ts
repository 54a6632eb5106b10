import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Server } from 'pumphouse';
import { generate } from 'selfsigned';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../bench/free-port.ts';
import { findProgram } from '../deploy/install.ts';
import { startNginx } from '../deploy/proxies.ts';
import { examine } from './examine.ts';
import { type Sites, startNginxSites } from './sites.ts';

const nginx = await findProgram('nginx');

const UPGRADE = [
  'proxy_http_version 1.1;',
  'proxy_set_header Upgrade $http_upgrade;',
  'proxy_set_header Connection "upgrade";',
];
const HOST = 'proxy_set_header Host $http_host;';
const FORWARDED = 'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;';
const UNBUFFERED = 'proxy_buffering off;';
const HEALTHY = [...UPGRADE, HOST, FORWARDED, UNBUFFERED];

/** The lines of a healthy site but those. */
const without = (...lines: readonly string[]) => HEALTHY.filter((line) => !lines.includes(line));

const site = (port: number, upstream: number, lines: readonly string[], around: readonly string[] = []) =>
  `server { listen 127.0.0.1:${port}; ${around.join(' ')}
    location / { proxy_pass http://127.0.0.1:${upstream}; ${lines.join(' ')} } }`;

/** Writes a certificate. @param days from now until it expires. */
async function certificate(folder: string, name: string, days: number): Promise<string> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    notBeforeDate: new Date(Date.now() - 10 * 86_400_000),
    notAfterDate: new Date(Date.now() + days * 86_400_000),
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: name }] }],
  });
  const file = join(folder, `${name}.${days}`);
  writeFileSync(`${file}.pem`, cert);
  writeFileSync(`${file}.key`, key);
  return `ssl_certificate ${file}.pem; ssl_certificate_key ${file}.key;`;
}

describe('behind nginx', () => {
  let server: Server;
  let distrustful: Server;
  let onNode: Server;
  let sites: Sites<string>;
  let folder: string;

  beforeAll(async () => {
    if (!nginx.path) return;
    const trustProxy = ['127.0.0.1'];
    [server, distrustful, onNode] = await Promise.all([
      createServer({ port: 0, trustProxy }),
      createServer({ port: 0 }),
      createServer({ port: 0, trustProxy, transport: 'ws' }),
    ]);
    const old = onNode.port as number;
    const [port, other, closed] = [server.port as number, distrustful.port as number, await freePort()];
    folder = mkdtempSync(join(tmpdir(), 'pumphouse-doctor-'));
    const [own, expired, soon] = await Promise.all([
      certificate(folder, 'localhost', 90),
      certificate(folder, 'localhost', -3),
      certificate(folder, 'localhost', 5),
    ]);
    const secure = (lines: string) => (at: number) =>
      site(at, port, HEALTHY, [lines]).replace(`127.0.0.1:${at};`, `127.0.0.1:${at} ssl;`);
    sites = await startNginxSites(nginx.path, {
      noUpgrade: (at: number) => site(at, port, without(...UPGRADE.slice(1))),
      http10: (at: number) => site(at, port, without(UPGRADE[0] as string)),
      noHost: (at: number) => site(at, port, without(HOST)),
      notForwarded: (at: number) => site(at, port, without(FORWARDED)),
      notTrusted: (at: number) => site(at, other, HEALTHY),
      noneOfBoth: (at: number) => site(at, other, without(FORWARDED)),
      timeout: (at: number) => site(at, port, [...HEALTHY, 'proxy_read_timeout 2s;']),
      // Without chunks, which HTTP/1.0 lacks, nginx waits until its buffer is full.
      buffered: (at: number) =>
        site(at, port, HEALTHY, [
          `location ~ /events$ { proxy_pass http://127.0.0.1:${old}; ${HOST} ${FORWARDED}`,
          'proxy_ignore_headers X-Accel-Buffering; }',
        ]),
      down: (at: number) => site(at, closed, HEALTHY),
      noProtocol: (at: number) => site(at, port, [...HEALTHY, 'proxy_hide_header Sec-WebSocket-Protocol;']),
      gzip: (at: number) =>
        site(at, port, [...HEALTHY, 'gzip on; gzip_proxied any; gzip_types text/event-stream; gzip_min_length 0;']),
      anyOrigin: (at: number) => site(at, port, [...HEALTHY, 'proxy_set_header Origin "";']),
      socketOnly: (at: number) =>
        `server { listen 127.0.0.1:${at};
          location /ws { proxy_pass http://127.0.0.1:${port}; ${HEALTHY.join(' ')} } }`,
      redirect: (at: number) => `server { listen 127.0.0.1:${at}; return 301 https://chat.example$request_uri; }`,
      denied: (at: number) => site(at, port, HEALTHY, ['deny all;']),
      own: secure(own),
      expired: secure(expired),
      soon: secure(soon),
      stranger: (at: number) =>
        `server { listen 127.0.0.1:${at}; default_type text/html; return 200 "<title>Welcome to nginx!</title>"; }`,
    });
  });
  afterAll(async () => {
    await sites?.stop();
    if (folder) rmSync(folder, { recursive: true });
    await Promise.all([server?.stop(), distrustful?.stop(), onNode?.stop()]);
  });

  /** The URL of a site. */
  const at = (name: string) => sites.urls[name] as string;
  const secured = (name: string) => at(name).replace('http://127.0.0.1', 'https://localhost');

  test('finds nothing to change with deploy/nginx.conf', async (context) => {
    context.skip(!nginx.path, nginx.reason);
    const proxy = await startNginx(nginx.path ?? '', [server.port as number]);
    const examined = await examine(proxy.url);
    expect(examined.failed).toEqual([]);
    expect(examined.code).toBe(0);
    expect(examined.output).toContain('through nginx/1.');
    expect(examined.of('address').detail).toContain('forwarded by a trusted proxy');
  });

  interface Case {
    readonly site: string;
    readonly fails: readonly string[];
    readonly detail: string | RegExp;
    readonly lines: readonly string[];
  }
  const cases: readonly Case[] = [
    { site: 'noUpgrade', fails: ['websocket'], detail: /^HTTP 400 instead of 101/, lines: UPGRADE },
    { site: 'http10', fails: ['http', 'websocket'], detail: /^HTTP 505/, lines: ['proxy_http_version 1.1;'] },
    { site: 'noHost', fails: ['origin'], detail: /^closed with 4502/, lines: [HOST] },
    { site: 'notForwarded', fails: ['address'], detail: /sees 127.0.0.1, the proxy/, lines: [FORWARDED] },
    {
      site: 'notTrusted',
      fails: ['address'],
      detail: /sees 127.0.0.1, the proxy/,
      lines: ['pumphouse serve --trust-proxy 127.0.0.1'],
    },
    {
      site: 'noneOfBoth',
      fails: ['address'],
      detail: /sees 127.0.0.1, the proxy/,
      lines: ['pumphouse serve --trust-proxy 127.0.0.1', FORWARDED],
    },
    {
      site: 'down',
      fails: ['http', 'websocket'],
      detail: 'HTTP 502: the proxy gets no answer',
      lines: ['proxy_pass http://127.0.0.1:8080;'],
    },
    {
      site: 'noProtocol',
      fails: ['subprotocol'],
      detail: 'none is selected instead of pumphouse.v1',
      lines: ['proxy_hide_header Sec-WebSocket-Protocol;'],
    },
    {
      site: 'gzip',
      fails: ['session-events', 'room-events'],
      detail: 'compressed with gzip',
      lines: ['gzip off;', 'gzip_types text/event-stream;'],
    },
    {
      site: 'anyOrigin',
      fails: ['foreign-origin'],
      detail: 'a page of https://doctor.invalid is accepted',
      lines: ['proxy_set_header Origin $http_origin;'],
    },
    {
      site: 'redirect',
      fails: ['http', 'websocket'],
      detail: /^HTTP 301, a redirect to https:\/\/chat\.example\//,
      lines: ['Clients must connect to https://chat.example/api/v1/address itself.'],
    },
    { site: 'denied', fails: ['http', 'websocket'], detail: 'HTTP 403', lines: ['deny all;'] },
    {
      site: 'stranger',
      fails: ['http', 'websocket'],
      detail: 'not Pumphouse: HTTP 200 for /api/v1/address, and the page "Welcome to nginx!"',
      lines: ['proxy_pass http://127.0.0.1:8080;'],
    },
  ];

  test.concurrent.for(cases)(
    'finds what is wrong: $site',
    async ({ site: name, fails, detail, lines }, { skip, expect }) => {
      skip(!nginx.path, nginx.reason);
      const examined = await examine(at(name));
      expect(examined.failed).toEqual(fails);
      expect(examined.code).toBe(1);
      expect(examined.of(fails[0] as string).detail).toMatch(detail);
      for (const line of lines) expect(examined.output).toContain(line);
      expect(examined.output).not.toContain('caddy');
    },
  );

  test.concurrent('finds a read timeout that is shorter than the ping period', async ({ skip, expect }) => {
    skip(!nginx.path, nginx.reason);
    const examined = await examine(at('timeout'), { idleMs: 10_000 });
    expect(examined.failed).toEqual(['idle']);
    expect(examined.of('idle').detail).toMatch(/^closed with 1006 after \d\.\d s, before a ping of the server$/);
    expect(examined.output).toContain('nginx, add\n      proxy_read_timeout 90s;\n');
    expect(examined.code).toBe(1);
  });

  test.concurrent('finds a buffer that holds events back', async ({ skip, expect }) => {
    skip(!nginx.path, nginx.reason);
    const examined = await examine(at('buffered'), { timeoutMs: 4_000 });
    expect(examined.failed).toEqual(['session-events', 'room-events']);
    expect(examined.output).toContain('nginx, add\n      proxy_buffering off;\n');
    expect(examined.code).toBe(1);
  });

  test.concurrent('finds a path without an endpoint', async ({ skip, expect }) => {
    skip(!nginx.path, nginx.reason);
    const examined = await examine(`${at('notTrusted')}/chat`);
    expect(examined.of('websocket')).toMatchObject({ kind: 'fail', detail: 'HTTP 404 for /chat' });
    expect(examined.output).toContain('nginx, add\n      location / {\n        proxy_pass http://127.0.0.1:8080;\n');
    expect(examined.code).toBe(1);
  });

  test.concurrent('warns of a proxy that forwards the WebSocket alone', async ({ skip, expect }) => {
    skip(!nginx.path, nginx.reason);
    const examined = await examine(at('socketOnly'));
    expect(examined.failed).toEqual([]);
    expect(examined.warned).toEqual(expect.arrayContaining(['http', 'session-events', 'room-events']));
    expect(examined.output).toContain('clients without one have no fallback over HTTP');
  });

  test.concurrent('rejects a certificate that is expired, or that no authority has signed', async ({
    skip,
    expect,
  }) => {
    skip(!nginx.path, nginx.reason);
    const [own, expired, other] = await Promise.all([
      examine(secured('own'), { insecure: false }),
      examine(secured('expired'), { insecure: false }),
      examine(secured('own').replace('localhost', '127.0.0.1'), { insecure: false }),
    ]);
    expect(own.of('tls').detail).toContain('the certificate is not trusted (DEPTH_ZERO_SELF_SIGNED_CERT)');
    expect(own.output).toContain('ssl_certificate /etc/letsencrypt/live/NAME/fullchain.pem;');
    expect(expired.of('tls').detail).toContain('the certificate expired 3 days ago');
    expect(expired.output).toContain('certbot renew && nginx -s reload');
    expect(other.of('tls').detail).toContain('is for DNS:localhost, not for 127.0.0.1');
    for (const examined of [own, expired, other]) {
      expect([examined.failed, examined.code]).toEqual([['tls'], 1]);
      expect(examined.skipped).toContain('websocket');
    }
  });

  test.concurrent('goes on with an invalid certificate if told to, and warns of it', async ({ skip, expect }) => {
    skip(!nginx.path, nginx.reason);
    const examined = await examine(secured('expired'));
    expect([examined.failed, examined.code]).toEqual([[], 0]);
    expect(examined.of('tls').kind).toBe('warn');
    expect(examined.of('websocket').kind).toBe('pass');
  });

  test.concurrent('follows the redirect of pages without TLS', async ({ skip, expect }) => {
    skip(!nginx.path, nginx.reason);
    const port = (name: string) => Number(new URL(at(name)).port);
    const [redirects, serves] = await Promise.all([
      examine(secured('own'), { plainPort: port('redirect') }),
      examine(secured('own'), { plainPort: port('stranger') }),
    ]);
    expect(redirects.of('redirect')).toMatchObject({ kind: 'pass', detail: 'http:// leads to https://chat.example/' });
    expect(serves.of('redirect')).toMatchObject({ kind: 'warn', detail: 'http:// is answered with HTTP 200' });
    expect(serves.output).toContain('return 301 https://$host$request_uri;');
  });
});
