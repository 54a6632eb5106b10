import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { createServer, type Server, type ServerOptions } from 'pumphouse';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Users } from '../../src/auth/users.ts';
import { transports } from '../integration/server.ts';

const secret = 'a secret of at least thirty-two bytes';
const SUBPROTOCOL = 'pumphouse.v1';

let folder: string;
let users: string;
let others: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pumphouse-listeners-'));
  [users, others] = [join(folder, 'users.json'), join(folder, 'others.json')];
  await Promise.all([new Users(users).set('ada', 'lovelace'), new Users(others).set('ada', 'another')]);
});
afterAll(() => rmSync(folder, { recursive: true }));

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

describe.each(transports)('listeners with their own authentication, on %s', (transport) => {
  const start = async (options: ServerOptions) => {
    const server = await createServer({ drainWindow: 0, transport, publishRate: 'off', ...options });
    servers.push(server);
    return server.urls as string[];
  };

  test('ask for their own credential', async () => {
    const urls = await start({
      listeners: [
        { port: 0, auth: 'otp', users },
        { port: 0, auth: 'jwt', jwtSecret: secret },
        { port: 0, auth: 'open' },
        { port: 0 },
      ],
    });
    const asks = async (url: string) => (await fetch(`${url}/sign-in.json`)).json();
    expect(await Promise.all(urls.map(asks))).toEqual(
      ['password', 'token', 'nothing', 'nothing'].map((asks) => ({ asks })),
    );
  });

  test('check passwords only with otp, in one set of rooms', async () => {
    const [strict, open] = (await start({
      listeners: [
        { port: 0, auth: 'otp', users },
        { port: 0, auth: 'open' },
      ],
    })) as [string, string];
    expect((await signIn(strict, 'wrong')).status).toBe(401);
    expect((await signIn(open, 'wrong')).status).toBe(200);
    expect(await outcome(strict)).toBe(4501);
    expect(await outcome(open)).toBe('welcome');
    // A ticket of the open listener is worth nothing at the other.
    expect(await outcome(strict, `?otp=${await ticket(open, 'wrong')}`)).toBe(4501);
    const ada = await connect(strict, `?otp=${await ticket(strict, 'lovelace')}&room=lobby`);
    const guest = await connect(open, '?room=lobby');
    expect(ada.welcome).toMatchObject({ user: 'ada' });
    const received = ada.next('message');
    guest.send({ t: 'send', room: 'lobby', id: '1', data: 'across listeners' });
    expect(await received).toMatchObject({ data: 'across listeners' });
  });

  test('do not resume the session of a name that nobody verified', async () => {
    const [strict, open] = (await start({
      listeners: [
        { port: 0, auth: 'otp', users },
        { port: 0, auth: 'open' },
      ],
    })) as [string, string];
    const impostor = await connect(open, '?user=ada');
    expect(impostor.welcome).toMatchObject({ user: 'ada' });
    expect(await outcome(strict, `?resume=${impostor.welcome['resume']}`)).toBe(4501);
    const ada = await connect(strict, `?otp=${await ticket(strict, 'lovelace')}`);
    expect(await outcome(strict, `?resume=${ada.welcome['resume']}`)).toBe('welcome');
  });

  test('do not resume the session of a user of another file', async () => {
    const [one, other] = (await start({
      auth: 'otp',
      users,
      listeners: [{ port: 0 }, { port: 0, users: others }],
    })) as [string, string];
    expect((await signIn(other, 'lovelace')).status).toBe(401);
    const stranger = await connect(other, `?otp=${await ticket(other, 'another')}`);
    expect(await outcome(one, `?resume=${stranger.welcome['resume']}`)).toBe(4501);
    expect(await outcome(one, `?otp=${await ticket(other, 'another')}`)).toBe(4501);
  });

  test('share tickets, sessions and the limit of attempts when they authenticate alike', async () => {
    const [one, other] = (await start({ auth: 'otp', users, listeners: [{ port: 0 }, { port: 0, users }] })) as [
      string,
      string,
    ];
    const ada = await connect(other, `?otp=${await ticket(one, 'lovelace')}`);
    const resumed = await connect(one, `?resume=${ada.welcome['resume']}`);
    expect(resumed.welcome['session']).toBe(ada.welcome['session']);
    const attempts = Array.from({ length: 12 }, (_, i) => signIn(i % 2 ? one : other, 'wrong'));
    const statuses = (await Promise.all(attempts)).map((response) => response.status);
    expect(statuses.filter((code) => code === 429).length).toBeGreaterThanOrEqual(2);
  });

  test('verify tokens with their own key, or that of the server', async () => {
    const ownSecret = secret.toUpperCase();
    const [shared, own] = (await start({
      auth: 'jwt',
      jwtSecret: secret,
      listeners: [{ port: 0 }, { port: 0, jwtSecret: ownSecret }],
    })) as [string, string];
    const [token, ownToken] = await Promise.all([sign(secret), sign(ownSecret)]);
    expect(await outcome(shared, `?token=${token}`)).toBe('welcome');
    expect(await outcome(own, `?token=${token}`)).toBe(4501);
    expect(await outcome(own, `?token=${ownToken}`)).toBe('welcome');
  });

  test('share the limit of connections', async () => {
    const urls = await start({ maxConnections: 1, listeners: [{ port: 0 }, { port: 0, auth: 'otp', users }] });
    await connect(urls[0] as string);
    expect(await outcome(urls[1] as string)).toBe(4005);
  });
});

test('a session of an open server does not resume once the server checks passwords', async () => {
  const data = join(folder, 'data');
  const options = { port: 0, drainWindow: 0, engine: 'lmdb', data } as const;
  const open = await createServer(options);
  const impostor = await connect(open.url, '?user=ada');
  await open.stop();
  const strict = await createServer({ ...options, auth: 'otp', users });
  servers.push(strict);
  expect(await outcome(strict.url, `?resume=${impostor.welcome['resume']}`)).toBe(4501);
});

test('an open client cannot use up the rate of the user whose name it takes', async () => {
  const server = await createServer({
    drainWindow: 0,
    publishRate: { perSecond: 1, burst: 2 },
    listeners: [
      { port: 0, auth: 'otp', users },
      { port: 0, auth: 'open' },
    ],
  });
  servers.push(server);
  const [strict, open] = server.urls as [string, string];
  const impostors = await Promise.all(Array.from({ length: 4 }, () => connect(open, '?user=ada&room=lobby')));
  for (const impostor of impostors) await impostor.publish('a');
  for (const impostor of impostors) await impostor.publish('b');
  const ada = await connect(strict, `?otp=${await ticket(strict, 'lovelace')}&room=lobby`);
  expect(await ada.publish('c')).toMatchObject({ t: 'sent' });
});

type Message = Record<string, unknown>;

/** Connects with the native protocol, and waits for the welcome. */
async function connect(url: string, query = '') {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws${query}`, SUBPROTOCOL);
  const messages: Message[] = [];
  const waiting: { matches: (message: Message) => boolean; resolve: (message: Message) => void }[] = [];
  socket.on('message', (data) => {
    for (const line of String(data).split('\n')) {
      const message = JSON.parse(line) as Message;
      messages.push(message);
      for (const { matches, resolve } of waiting) if (matches(message)) resolve(message);
    }
  });
  const wait = (matches: (message: Message) => boolean) =>
    new Promise<Message>((resolve) => {
      const earlier = messages.find(matches);
      if (earlier) resolve(earlier);
      else waiting.push({ matches, resolve });
    });
  const welcome = wait(({ t }) => t === 'welcome');
  await once(socket, 'open');
  const send = (message: Message) => socket.send(JSON.stringify(message));
  return {
    welcome: await welcome,
    send,
    next: (type: string) => wait(({ t }) => t === type),
    /** Sends to the lobby. @returns the answer. */
    publish(id: string) {
      send({ t: 'send', room: 'lobby', id, data: id });
      return wait((message) => (message['t'] === 'sent' || message['t'] === 'error') && message['id'] === id);
    },
  };
}

/** Connects natively. @returns 'welcome', or the code of the close that came instead. */
async function outcome(url: string, query = ''): Promise<'welcome' | number> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws${query}`, SUBPROTOCOL);
  try {
    return await new Promise((resolve, reject) => {
      socket.on('message', (data) => String(data).includes('"t":"welcome"') && resolve('welcome'));
      socket.on('close', resolve);
      socket.on('error', reject);
    });
  } finally {
    socket.terminate();
  }
}

function signIn(url: string, password: string): Promise<Response> {
  return fetch(`${url}/login`, { method: 'POST', body: JSON.stringify({ username: 'ada', password }) });
}

async function ticket(url: string, password: string): Promise<string> {
  return ((await (await signIn(url, password)).json()) as { otp: string }).otp;
}

function sign(key: string): Promise<string> {
  return new SignJWT({})
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('ada')
    .setExpirationTime('1m')
    .sign(Buffer.from(key));
}
