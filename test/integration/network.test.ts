import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import { createServer, type ServerOptions } from 'pumphouse';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { Users } from '../../src/auth/users.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { SUBPROTOCOL } from '../../src/protocol/v1.ts';
import { run, serving } from '../cli/command.ts';
import { built } from '../server.ts';
import { createVariantServer, type VariantServer as Server } from '../workers/in-thread.ts';
import { variants } from '../workers/variants.ts';
import { until } from './server.ts';

// Hashes about a hundred passwords at the lowest cost. Tests of the hash check its real cost.
vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>();
  const scrypt = (...[password, salt, bytes, options, done]: Parameters<typeof crypto.scrypt>) =>
    crypto.scrypt(password, salt, bytes, { ...options, N: 2, p: 1 }, done);
  return { ...crypto, scrypt };
});

const servers: Server[] = [];
let folder: string;
const pair = (name: string) => ({ tlsCert: join(folder, name, 'cert.pem'), tlsKey: join(folder, name, 'key.pem') });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pumphouse-net-'));
  for (const name of ['one', 'two']) {
    const { code } = await run([
      'gen-cert',
      '--out',
      join(folder, name),
      '--host',
      'localhost',
      '127.0.0.1',
      `${name}.test`,
    ]);
    expect(code).toBe(0);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

describe.each(variants)('on a network, with $name', (variant) => {
  const { transport } = variant;
  const start = async (options: ServerOptions) => {
    const server = await createVariantServer(variant, { port: 0, drainWindow: 0, publishRate: 'off', ...options });
    servers.push(server);
    return server;
  };

  describe('TLS', () => {
    test('serves https and wss with the certificate', async () => {
      const server = await start(pair('one'));
      expect(server.url).toMatch(/^https:/);
      expect(await status(`${server.url}/`)).toBe(200);
      const { subjectaltname } = await certificate(server);
      expect(subjectaltname).toBe('DNS:localhost, IP Address:127.0.0.1, DNS:one.test');
      const socket = await open(server, '/ws');
      const received = once(socket, 'message');
      socket.send('over tls');
      expect(String((await received)[0])).toBe('over tls');
    });

    test('renews its certificate for new connections and keeps old ones', async () => {
      const paths = { tlsCert: join(folder, 'cert.pem'), tlsKey: join(folder, 'key.pem') };
      const install = (name: string) => {
        for (const [key, path] of Object.entries(pair(name))) copyFileSync(path, paths[key as 'tlsCert']);
      };
      install('one');
      const server = await start(paths);
      const old = await open(server, '/ws');
      install('two');
      expect((await certificate(server)).subjectaltname).toContain('one.test');
      await server.renewCertificates();
      await eventually(async () => (await certificate(server)).subjectaltname?.includes('two.test') === true);
      const renewed = await open(server, '/ws');
      const received = once(renewed, 'message');
      old.send('still open');
      expect(String((await received)[0])).toBe('still open');
      writeFileSync(paths.tlsCert, 'garbage');
      await expect(server.renewCertificates()).rejects.toThrow(/cannot be used/);
      expect((await certificate(server)).subjectaltname).toContain('two.test');
    });

    test.each([
      ['that does not exist', { tlsCert: '/no/cert.pem', tlsKey: '/no/key.pem' }, 'cannot be read (ENOENT)'],
      ['without its key', { tlsCert: '/no/cert.pem' }, 'go together'],
    ])('rejects a certificate %s', async (_, options, message) => {
      await expect(start(options)).rejects.toThrow(message);
    });

    test('rejects the key of another certificate', async () => {
      const mixed = { tlsCert: pair('one').tlsCert, tlsKey: pair('two').tlsKey };
      await expect(start(mixed)).rejects.toThrow(/cannot be used: .*mismatch/);
    });

    test('reloads the certificate on SIGHUP and keeps the old one if the new one is invalid', async () => {
      const paths = ['--tls-cert', join(folder, 'hup-cert.pem'), '--tls-key', join(folder, 'hup-key.pem')];
      const install = (name: string) => {
        const { tlsCert, tlsKey } = pair(name);
        copyFileSync(tlsCert, paths[1] as string);
        copyFileSync(tlsKey, paths[3] as string);
      };
      install('one');
      const { running, port } = await serving(['--transport', transport, ...paths]);
      const names = async () => (await certificate({ port })).subjectaltname;
      expect(await names()).toContain('one.test');
      install('two');
      running.process.kill('SIGHUP');
      await running.line('certificates are read again');
      await eventually(async () => (await names())?.includes('two.test') === true);
      writeFileSync(paths[1] as string, 'garbage');
      running.process.kill('SIGHUP');
      await running.line('the old ones stay');
      expect(await names()).toContain('two.test');
      await running.end();
    });

    test('survives plain HTTP on a TLS port', async () => {
      const server = await start(pair('one'));
      const { port } = server;
      const failure = await fetch(`http://127.0.0.1:${port}/`).catch((error: Error) => error);
      expect(failure).toBeInstanceOf(Error);
      expect(await status(`${server.url}/`)).toBe(200);
    });
  });

  describe('multiple listeners', () => {
    test('share the Hub, each with its own wire, page and TLS', async () => {
      const page = join(folder, 'page');
      mkdirSync(page, { recursive: true });
      writeFileSync(join(page, 'index.html'), '<p>{{.Host}}');
      const server = await start({
        listeners: [
          { host: '127.0.0.1', port: 0, wire: 'auto', web: undefined, tlsCert: undefined, tlsKey: undefined },
          { host: '127.0.0.1', port: 0, wire: 'spread', web: page, ...pair('one') },
          { host: '127.0.0.1', port: 0, wire: 'blueprints', web: page, tlsCert: undefined, tlsKey: undefined },
        ],
      });
      const [plain, secure, third] = server.urls as [string, string, string];
      expect([plain, secure, third].map((url) => url.split(':')[0])).toEqual(['http', 'https', 'http']);
      expect(await (await fetch(plain)).text()).toContain('Pumphouse');
      // The page of Go Blueprints is a template: the server fills in the host of the request.
      expect(await (await fetch(`${third}/any/path`)).text()).toBe(`<p>${new URL(third).host}`);
      const gorilla = await openAt(plain, '/ws');
      const spread = await openAt(secure, '/subscribe');
      const received = once(spread, 'message');
      gorilla.send('from one to the other');
      expect(JSON.parse(String((await received)[0]))).toMatchObject({ msg: 'from one to the other' });
    });

    test('reject the start when one of them cannot listen', async () => {
      const server = await start({});
      const plain = { host: '127.0.0.1', wire: 'auto', web: undefined, tlsCert: undefined, tlsKey: undefined } as const;
      const listeners = [
        { ...plain, port: 0 },
        { ...plain, port: server.port },
      ];
      await expect(start({ listeners })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    });
  });

  describe('origins', () => {
    test.each<[string, boolean]>([
      ['http://127.0.0.1:PORT', true],
      ['https://chat.example', true],
      ['https://CHAT.example', true],
      ['https://a.team.example', true],
      ['https://a.b.team.example', true],
      ['https://team.example', false],
      ['http://a.team.example', false],
      ['https://chat.example:8443', false],
      ['https://chat.example.evil.test', false],
      ['https://evilteam.example', false],
      ['null', false],
      ['', true],
    ])('a handshake from the origin %j is accepted: %s', async (origin, accepted) => {
      const server = await start({ origin: ['https://chat.example', 'https://*.team.example'] });
      const headers: Record<string, string> = origin === '' ? {} : { origin: origin.replace('PORT', `${server.port}`) };
      expect(await handshake(server, '/ws', { headers })).toBe(accepted ? 101 : 403);
    });
  });

  describe('connection limits', () => {
    test('reject connections past the total with 503 until one closes', async () => {
      const server = await start({ maxConnections: 2 });
      const [first] = [await open(server, '/ws'), await open(server, '/subscribe')];
      expect(await handshake(server, '/ws')).toBe(503);
      expect(await status(`${server.url}/healthz`)).toBe(200);
      first?.terminate();
      await eventually(async () => (await handshake(server, '/ws')) === 101);
    });

    test('reject connections of one address past its limit, but not of another address', async () => {
      const server = await start({ connectionsPerAddress: 2 });
      await open(server, '/ws');
      await open(server, '/ws');
      expect(await handshake(server, '/ws')).toBe(429);
      expect(await handshake(server, '/ws', { localAddress: '127.0.0.2' })).toBe(101);
    });

    test('count the address that a trusted proxy reports, and ignore other reports', async () => {
      const server = await start({ connectionsPerAddress: 1, trustProxy: ['127.0.0.1', '10.0.0.0/8'] });
      const from = (forwarded: string) => ({ headers: { 'x-forwarded-for': forwarded } });
      await open(server, '/ws', from('192.0.2.1'));
      expect(await handshake(server, '/ws', from('192.0.2.1'))).toBe(429);
      expect(await handshake(server, '/ws', from('192.0.2.1, 10.1.2.3'))).toBe(429);
      expect(await handshake(server, '/ws', from('198.51.100.7, 192.0.2.1'))).toBe(429); // addresses before the last untrusted one are ignored
      expect(await handshake(server, '/ws', from('192.0.2.2'))).toBe(101);
      const direct = { ...from('192.0.2.9'), localAddress: '127.0.0.3' };
      await open(server, '/ws', direct);
      expect(await handshake(server, '/ws', { ...from('192.0.2.10'), localAddress: '127.0.0.3' })).toBe(429);
    });

    test('bound the messages of all connections of one address together', async () => {
      const server = await start({ publishRate: { perSecond: 1, burst: 2 }, trustProxy: ['127.0.0.1'] });
      const closed: number[] = [];
      const from = { headers: { 'x-forwarded-for': '192.0.2.1' } };
      const sockets = await Promise.all(Array.from({ length: 30 }, () => open(server, '/ws', from)));
      for (const socket of sockets) socket.on('close', (code) => closed.push(code));
      const other = await open(server, '/ws', { headers: { 'x-forwarded-for': '192.0.2.2' } });
      for (const socket of sockets) for (let i = 0; i < 2; i++) socket.send('flood');
      await until('nine connections are closed', () => closed.length >= 9);
      expect(new Set(closed)).toEqual(new Set([4003]));
      const received = new Promise((resolve) =>
        other.on('message', (data) => String(data).includes('delivered') && resolve(1)),
      );
      other.send('delivered');
      await received;
    });
  });

  describe('authentication', () => {
    const users = async () => {
      const path = join(folder, `users-${transport}.json`);
      await new Users(path).set('ada', 'secret');
      return path;
    };
    const login = async ({ url }: Server, username: string, password: string) => {
      const response = await fetch(`${url}/login`, { method: 'POST', body: JSON.stringify({ username, password }) });
      return { status: response.status, body: await response.text() };
    };

    test('rejects connections without a ticket on every wire', async () => {
      const server = await start({ auth: 'otp', users: await users() });
      for (const path of ['/ws', '/subscribe', '/room', '/ws?user=ada', '/ws?otp=x']) {
        expect([path, await handshake(server, path)]).toEqual([path, 401]);
        // At /ws the subprotocol selects the native protocol, which has a close code.
        const native = path.startsWith('/ws') ? closes.unauthenticated.code : 401;
        expect(await handshake(server, path, { protocols: ['pumphouse.v1'] })).toBe(native);
      }
      expect(await login(server, 'ada', 'wrong')).toEqual({ status: 401, body: '' });
      expect(await login(server, 'eve', 'secret')).toEqual({ status: 401, body: '' });
      const { otp } = JSON.parse((await login(server, 'ada', 'secret')).body);
      const socket = dial(server.url, `/ws?otp=${otp}&user=eve`, { protocols: ['pumphouse.v1'] });
      const [welcome] = await once(socket, 'message');
      const { user, resume } = JSON.parse(String(welcome));
      expect(user).toBe('ada');
      // A resumed session needs no ticket, but the server's signature.
      expect(await handshake(server, '/ws', { protocols: ['pumphouse.v1', `resume.${resume}`] })).toBe(101);
      expect(await handshake(server, '/ws', { protocols: ['pumphouse.v1', `resume.${resume}x`] })).toBe(4501);
      expect(await handshake(server, `/ws?resume=${resume}`, { protocols: ['pumphouse.v1'] })).toBe(101);
      expect(await handshake(server, `/ws?resume=${resume}x`, { protocols: ['pumphouse.v1'] })).toBe(4501);
    });

    test('requires a name and a password for posts', async () => {
      const server = await start({ auth: 'otp', users: await users() });
      const post = (authorization?: string) =>
        status(`${server.url}/publish`, {
          method: 'POST',
          body: 'hi',
          headers: authorization ? { authorization } : {},
        });
      const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
      expect(await post()).toBe(401);
      expect(await post(basic('ada:wrong'))).toBe(401);
      expect(await post('Basic !!!')).toBe(401);
      for (let i = 0; i < 12; i++) expect(await post(basic('ada:secret'))).toBe(202); // valid credentials are not throttled
    });

    test('limits the login attempts of one address across names', async () => {
      const server = await start({ auth: 'otp', users: await users() });
      const responses = await Promise.all(Array.from({ length: 30 }, (_, i) => login(server, `user${i}`, 'guess')));
      expect(responses.filter(({ status }) => status === 429).length).toBeGreaterThanOrEqual(10);
      expect(responses.every(({ status }) => status === 401 || status === 429)).toBe(true);
    });

    test('limits the login attempts for one name across addresses', async () => {
      const server = await start({ auth: 'otp', users: await users(), trustProxy: ['127.0.0.1'] });
      const body = JSON.stringify({ username: 'ada', password: 'guess' });
      const statuses: number[] = [];
      for (let i = 0; i < 12; i++) {
        const headers = { 'x-forwarded-for': `192.0.2.${i}` };
        statuses.push((await fetch(`${server.url}/login`, { method: 'POST', body, headers })).status);
      }
      expect(statuses.slice(0, 10)).toEqual(Array(10).fill(401));
      expect(statuses.at(-1)).toBe(429);
    });
  });
});

interface DialOptions {
  readonly headers?: Record<string, string>;
  readonly protocols?: string[];
  readonly localAddress?: string;
}

const at = (url: string, path: string) => url.replace(/^http/, 'ws') + path;

function dial(url: string, path: string, { headers = {}, protocols = [], localAddress }: DialOptions): WebSocket {
  const options = { headers, rejectUnauthorized: false, ...(localAddress && { localAddress }) };
  return new WebSocket(at(url, path), protocols, options);
}

async function openAt(url: string, path: string, options: DialOptions = {}): Promise<WebSocket> {
  const socket = dial(url, path, options);
  await once(socket, 'open');
  return socket;
}

const open = ({ url }: Server, path: string, options: DialOptions = {}) => openAt(url, path, options);

/**
 * Attempts a handshake.
 *
 * @returns the status of the response: 101 if it is accepted, and the close code if the native
 * protocol refuses it.
 */
async function handshake({ url }: Server, path: string, options: DialOptions = {}): Promise<number> {
  const socket = dial(url, path, options);
  socket.on('error', () => {});
  const rejected = once(socket, 'unexpected-response').then(([, response]) => response.statusCode as number);
  const native = options.protocols?.includes(SUBPROTOCOL);
  const accepted = once(socket, native ? 'message' : 'open').then(() => 101);
  const closed = once(socket, 'close').then(([code]) => Number(code));
  const code = await Promise.race([rejected, accepted, closed]);
  socket.terminate();
  return code;
}

async function status(url: string, init: RequestInit & { method?: string } = {}): Promise<number> {
  if (!url.startsWith('https:')) return (await fetch(url, init)).status;
  const outgoing = request(url, { rejectUnauthorized: false });
  outgoing.end();
  const [response] = await once(outgoing, 'response');
  response.resume();
  return response.statusCode;
}

async function certificate({ port }: Pick<Server, 'port'>) {
  const socket = connectTls({ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const peerCertificate = socket.getPeerCertificate();
  socket.destroy();
  return peerCertificate;
}

/** Waits until a condition holds. @throws Error after 200 attempts. */
async function eventually(holds: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('the condition never held');
}

describe('the commands', () => {
  const exec = promisify(execFile);

  test('user add, list and remove edit the file; add reads the password from standard input', async () => {
    const path = join(folder, 'edited.json');
    const add = async (name: string, input: string) => {
      const child = spawn(process.execPath, [...built, 'user', 'add', name, '--users', path], { stdio: 'pipe' });
      child.stdin.end(input);
      const [code] = await once(child, 'close');
      return code;
    };
    expect([await add('ada', 'one\n'), await add('bob', 'two')]).toEqual([0, 0]);
    expect(await add('eve', '')).toBe(2);
    expect((await run(['user', 'list', '--users', path])).stdout).toBe('ada\nbob\n');
    expect((await run(['user', 'remove', 'ada', '--users', path])).code).toBe(0);
    expect(await run(['user', 'remove', 'ada', '--users', path])).toMatchObject({
      code: 2,
      stderr: `pumphouse: there is no user "ada" in ${path}\n`,
    });
    expect(new Users(path).names()).toEqual(['bob']);
  });

  test('token signs with the algorithm of the key, and serve accepts the token', async () => {
    const secret = 'a secret of at least thirty-two bytes';
    const key = join(folder, 'jwt.pem');
    await exec('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', key]).catch(() => {
      writeFileSync(key, '');
    });
    const signedByKey = await run(['token', 'ada', '--key', key, '--room', 'team-*', 'news', '--expires', '5m']);
    if (signedByKey.code === 0) {
      const [head, body] = signedByKey.stdout.split('.').map((part) => Buffer.from(part, 'base64url').toString());
      expect(JSON.parse(head as string)).toEqual({ alg: 'EdDSA' });
      expect(JSON.parse(body as string)).toMatchObject({ sub: 'ada', rooms: [{ name: 'team-*' }, { name: 'news' }] });
    }
    const { stdout } = await run(['token', 'ada'], { PUMPHOUSE_JWT_SECRET: secret });
    const server = await createServer({ port: 0, drainWindow: 0, auth: 'jwt', jwtSecret: secret });
    servers.push(server);
    expect(await handshake(server, `/ws?token=${stdout.trim()}`)).toBe(101);
    expect(await handshake(server, `/ws?token=${stdout.trim()}x`)).toBe(401);
    expect(await handshake(server, '/ws')).toBe(401);
    expect(await handshake(server, '/subscribe', { protocols: [`bearer.${stdout.trim()}`] })).toBe(101);
  });

  test.each([
    [['token', 'ada'], 'one of --jwt-secret and --key'],
    [['token', 'ada', '--jwt-secret', 'short'], 'less than 32 bytes'],
    [['token', 'ada', '--key', '/no/key.pem'], 'ENOENT'],
    [['token', 'ada', '--expires', 'soon'], '"soon" is not a time'],
    [['gen-cert', '--days', 'many'], '"many" is not a number of days'],
    [['serve', '--auth', 'jwt'], 'needs one of jwtSecret and jwtKey'],
    [['serve', '--auth', 'otp', '--users', '/no/users.json'], 'pumphouse user add'],
    [['serve', '--auth', 'jwt', '--jwt-key', 'package.json'], 'no JWKS'],
    [['serve', '--tls-cert', 'x.pem'], 'go together'],
    [['serve', '--origin', 'chat.example'], 'is not a list of origins'],
    [['serve', '--trust-proxy', '10.0.0.0/33'], 'is not a list of addresses'],
  ])('%j prints one line and exits with 2', async (args, message) => {
    const { code, stderr } = await run(args, { PUMPHOUSE_ENGINE: 'memory', PUMPHOUSE_PORT: '0' });
    expect([code, stderr.split('\n').length]).toEqual([2, 2]);
    expect(stderr).toContain(message);
  });

  test('gen-cert replaces files only with --force', async () => {
    const out = join(folder, 'one');
    expect(await run(['gen-cert', '--out', out])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--force'),
    });
  });
});
