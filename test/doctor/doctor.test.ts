import { SignJWT } from 'jose';
import { createServer, type Server, type ServerOptions } from 'pumphouse';
import { describe, expect, type TestContext, test } from 'vitest';
import { freePort } from '../../bench/free-port.ts';
import { printable } from '../../src/doctor/proxy.ts';
import { parseTarget } from '../../src/doctor/target.ts';
import { examine } from './examine.ts';
import { lumpyProxy, type Middle, pinglessServer, silentServer, slowProxy, swallowingProxy } from './middle.ts';

async function start({ onTestFinished }: TestContext, options: ServerOptions = {}): Promise<Server> {
  const server = await createServer({ port: 0, ...options });
  onTestFinished(() => server.stop());
  return server;
}

async function startMiddle({ onTestFinished }: TestContext, starting: Promise<Middle>): Promise<string> {
  const { url, stop } = await starting;
  onTestFinished(stop);
  return url;
}

/** For proxies that delay everything. */
const SLOW_MS = 60_000;

const portOf = ({ port }: Server) => port as number;

describe.each(['uws', 'ws'] as const)('a server without a proxy, on %s', (transport) => {
  test.concurrent('passes every check', async (context) => {
    const server = await start(context, { transport });
    const examined = await examine(server.url, { idleMs: 100 });
    expect([examined.failed, examined.code]).toEqual([[], 0]);
    expect(examined.skipped).toEqual(['redirect']);
    expect(examined.of('close-codes').detail).toBe('1003 arrives as sent');
    expect(examined.of('idle').detail).toBe('open for 0.1 s, before a ping of the server');
    expect(examined.diagnosis.walk.proxy).toEqual({ kind: 'unknown', product: '' });
  });
});

describe('a server that requires tokens', () => {
  const secret = 'a secret of at least thirty-two bytes';
  const tokenOf = (claims: object) =>
    new SignJWT({ sub: 'ada', ...claims })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1m')
      .sign(Buffer.from(secret));

  test.concurrent('skips the checks that need a session', async (context) => {
    const server = await start(context, { auth: 'jwt', jwtSecret: secret });
    const examined = await examine(server.url);
    expect([examined.failed, examined.code]).toEqual([[], 0]);
    expect(examined.of('session').detail).toBe('the server requires a token or a login: --token TOKEN');
    expect(examined.skipped).toContain('delivery');
    expect(examined.skipped).toContain('room-events');
    expect(examined.of('foreign-origin').kind).toBe('pass');
  });

  test.concurrent('checks all with a token, and prints it nowhere', async (context) => {
    const server = await start(context, { auth: 'jwt', jwtSecret: secret });
    const token = await tokenOf({});
    const examined = await examine(server.url, { token, idleMs: 50 });
    expect([examined.failed, examined.skipped]).toEqual([[], ['redirect']]);
    expect(JSON.stringify([examined.output, examined.diagnosis.findings])).not.toContain(token);
  });

  test.concurrent('names a token that is not valid, and a room that it does not allow', async (context) => {
    const server = await start(context, { auth: 'jwt', jwtSecret: secret });
    const invalid = await examine(server.url, { token: 'abc' });
    expect(invalid.failed).toContain('session');
    expect(invalid.of('session').detail).toContain('closed with 4501');
    const narrow = await examine(server.url, { token: await tokenOf({ rooms: [{ name: 'lobby' }] }) });
    expect(narrow.failed).toEqual([]);
    expect(narrow.of('delivery').detail).toBe('the room "doctor-test" is not allowed: --room NAME');
  });
});

test.concurrent('warns of an address that accepts no connections', async (context) => {
  const { port } = await start(context);
  const resolve = async () => [
    { address: '::1', family: 6 },
    { address: '127.0.0.1', family: 4 },
  ];
  const examined = await examine(`http://chat.example:${port}`, { resolve });
  expect([examined.failed, examined.code]).toEqual([[], 0]);
  expect(examined.of('tcp').kind).toBe('warn');
  expect(examined.of('tcp').detail).toContain('::1: ');
  expect(examined.output).toContain(`nginx, add\n      listen [::]:${port};\n`);
  expect(examined.output).toContain('caddy, remove\n      bind …\n');
});

test.concurrent('reports a name without addresses, and a port without a listener', async () => {
  const resolve = () => Promise.reject(Object.assign(new Error('getaddrinfo ENOTFOUND x'), { code: 'ENOTFOUND' }));
  const unknown = await examine('https://chat.example', { resolve });
  expect([unknown.failed, unknown.code]).toEqual([['dns'], 1]);
  expect(unknown.skipped).toHaveLength(17);
  const closed = await examine(`http://127.0.0.1:${await freePort()}`);
  expect([closed.failed, closed.code]).toEqual([['tcp'], 1]);
  expect(closed.of('tcp').detail).toContain('ECONNREFUSED');
  expect(closed.output).toContain('  nginx, add\n');
});

test.concurrent('ends in time where nothing answers', async (context) => {
  const url = await startMiddle(context, silentServer());
  const started = performance.now();
  const [plain, secure] = await Promise.all([
    examine(url, { timeoutMs: 300 }),
    examine(url.replace('http:', 'https:'), { timeoutMs: 300 }),
  ]);
  expect(performance.now() - started).toBeLessThan(10_000);
  expect([plain.failed, secure.failed]).toEqual([['http', 'websocket'], ['tls']]);
  expect(plain.of('http').detail).toMatch(/^no answer in/);
  expect(secure.of('tls').detail).toBe('no TLS handshake in time');
});

test.concurrent('finds a port that does not speak TLS', async (context) => {
  const server = await start(context);
  const examined = await examine(server.url.replace('http:', 'https:'));
  expect([examined.failed, examined.code]).toEqual([['tls'], 1]);
  expect(examined.output).toContain('ssl;');
});

test.concurrent('finds a proxy that swallows close codes', async (context) => {
  const url = await startMiddle(context, swallowingProxy(portOf(await start(context))));
  const examined = await examine(url);
  expect([examined.failed, examined.code]).toEqual([['close-codes'], 1]);
  expect(examined.of('close-codes').detail).toBe('1003 arrives as 1006');
  expect(examined.output).toContain('nginx, add\n      proxy_pass http://127.0.0.1:8080;\n');
});

test.concurrent('finds a proxy that delivers in lumps', { timeout: SLOW_MS }, async (context) => {
  const url = await startMiddle(context, lumpyProxy(portOf(await start(context, { publishRate: 'off' })), 400));
  const examined = await examine(url);
  expect(examined.failed).toContain('delivery');
  expect(examined.of('delivery').detail).toContain('of them in lumps');
  expect(examined.output).toContain('proxy_buffering off;');
});

test.concurrent('skips what the rate limit of the server does not allow', async (context) => {
  const server = await start(context, { publishRate: { perSecond: 1, burst: 2 } });
  const examined = await examine(server.url);
  expect([examined.failed, examined.code]).toEqual([[], 0]);
  expect(examined.skipped).toContain('delivery');
});

test.concurrent('warns of slow round trips', { timeout: SLOW_MS }, async (context) => {
  const url = await startMiddle(context, slowProxy(portOf(await start(context)), 170));
  const examined = await examine(url);
  expect([examined.failed, examined.code]).toEqual([[], 0]);
  expect(examined.warned).toContain('round-trip');
});

test.concurrent('warns of pings that do not arrive', async (context) => {
  const examined = await examine(await startMiddle(context, pinglessServer()), { idleMs: 1_000, timeoutMs: 1_000 });
  expect(examined.of('idle')).toMatchObject({ kind: 'warn', detail: 'open for 1.0 s, without a ping of the server' });
});

test.concurrent('accepts an origin that the server allows, and names the flag for another', async (context) => {
  const server = await start(context, { origin: ['https://shop.example'] });
  const [allowed, other] = await Promise.all([
    examine(server.url, { origin: 'https://shop.example' }),
    examine(server.url, { origin: 'https://blog.example' }),
  ]);
  expect(allowed.failed).toEqual([]);
  expect(other.failed).toEqual(['origin']);
  expect(other.output).toContain('pumphouse, run\n      pumphouse serve --origin https://blog.example\n');
  // The checks that follow connect as a program does.
  expect(other.of('delivery').kind).toBe('pass');
});

test.each([
  ['https://chat.example', 'wss://chat.example/ws', 'https://chat.example/', 443],
  ['ws://chat.example:8080/', 'ws://chat.example:8080/ws', 'http://chat.example:8080/', 8080],
  ['wss://chat.example/chat/ws', 'wss://chat.example/chat/ws', 'https://chat.example/chat/', 443],
  ['http://[::1]:81', 'ws://[::1]:81/ws', 'http://[::1]:81/', 81],
])('reads %s', (text, wsUrl, httpUrl, port) => {
  expect(parseTarget(text)).toMatchObject({ kind: 'target', target: { wsUrl, httpUrl, port } });
});

test.each([
  ['https://', 'has no valid host or port'],
  ['https://chat.example/ws?token=x', 'has a query: a token is given with --token'],
  ['https://ada:x@chat.example', 'has a user name or a password'],
])('rejects %s', (text, reason) => {
  expect(parseTarget(text)).toEqual({ kind: 'invalid', reason });
});

test('prints no control characters of the other side', () => {
  expect(printable('a\u001b[2J\nb\u202e c')).toBe('a [2J b c');
});
