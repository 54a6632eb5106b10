import { join } from 'node:path';
import { createServer, lmdb, type ServerOptions } from 'pumphouse';
import { afterEach, describe, expect, test } from 'vitest';
import { sharedPortProblem } from '../../src/config/shared-ports.ts';
import { run, serving } from '../cli/command.ts';
import { until } from '../integration/server.ts';
import { callApi, publish, webhookTo, writeConfig } from './config.ts';
import { SECRET } from './fixtures.ts';
import { ReceiverServer } from './receiver.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function startReceiver(): Promise<ReceiverServer> {
  const receiver = await ReceiverServer.start();
  closing.push(() => receiver.close());
  return receiver;
}

/** Starts `pumphouse serve`. */
async function serve(flags: readonly string[]) {
  const server = await serving(flags);
  closing.push(() => server.running.process.kill('SIGKILL'));
  return server;
}

const able = sharedPortProblem('uws') === undefined;
const modes = [
  { mode: 'one thread', flags: [] },
  ...(able ? [{ mode: 'two workers', flags: ['--workers', '2'] }] : []),
];

describe.each(modes)('a server with $mode', ({ flags }) => {
  const start = async (settings: object = {}, more: readonly string[] = []) => {
    const receiver = await startReceiver();
    const config = writeConfig({
      webhooks: [webhookTo(receiver.url, settings), webhookTo(receiver.url, { name: 'named', rooms: [] })],
      rooms: { lobby: { webhooks: ['named'] } },
    });
    const server = await serve([...config.flags, ...flags, ...more]);
    return { receiver, config, ...server };
  };

  test('delivers, reports and replays, by the API and the command, or answers why not', async () => {
    const { receiver, config, url } = await start();
    for (const id of ['a', 'b', 'c']) await publish(url, config.key, 'orders:1', id);
    await publish(url, config.key, 'lobby', 'x');
    await publish(url, config.key, 'other', 'y');
    await until(
      'everything is delivered',
      () => receiver.seqs('orders:1').length === 3 && receiver.seqs('lobby').length === 1,
    );
    expect(receiver.messages.get('orders:1')?.map(({ id, data }) => [id, data])).toEqual([
      ['a', { id: 'a' }],
      ['b', { id: 'b' }],
      ['c', { id: 'c' }],
    ]);
    expect([...receiver.messages.keys()].sort()).toEqual(['lobby', 'orders:1']);
    expect(
      receiver.requests
        .map(({ body }) => body.webhook)
        .sort()
        .at(-1),
    ).toBe('named');

    const listed = async () => (await callApi(url, config.key, '/webhooks')).body['webhooks'] as object[];
    expect(await listed()).toMatchObject([
      {
        name: 'audit',
        url: new URL(receiver.url).origin,
        patterns: ['orders:*'],
        cursors: 1,
        lag: 0,
        lastStatus: '200',
        rooms: [{ room: 'orders:1', seq: 3, head: 3, lag: 0 }],
      },
      { name: 'named', patterns: ['lobby'] },
    ]);

    const before = receiver.requests.length;
    expect(await callApi(url, config.key, '/webhooks/audit/replay', { after: 1, room: 'orders:1' })).toEqual({
      status: 200,
      body: { rooms: 1 },
    });
    await until('it is delivered again', () => receiver.requests.length > before);
    expect(receiver.requests.at(-1)?.body).toMatchObject({ messages: [{ seq: 2 }, { seq: 3 }] });

    const server = ['--url', url, '--key', config.key];
    const replayed = await run(['webhook', 'replay', 'audit', '--after', '2', ...server]);
    expect([replayed.code, replayed.stdout, replayed.stderr]).toEqual([0, 'audit delivers 1 room again\n', '']);
    await until('it is delivered again', () => receiver.requests.length > before + 1);
    const list = await run(['webhook', 'list', '--url', url], { PUMPHOUSE_API_KEY: config.key });
    expect(list.stdout.split('\n')[0]).toMatch(
      /^audit\thttp:\/\/127.0.0.1:\d+\torders:\*\t1 room, lag 0, last status 200$/,
    );
    expect(list.stdout).toContain('  orders:1\t3 of 3, lag 0');
    expect(receiver.violations).toEqual([]);

    const replay = async (name: string, body: object) => {
      const { status, body: answer } = await callApi(url, config.key, `/webhooks/${name}/replay`, body);
      return [status, answer['detail']];
    };
    expect(await replay('none', { after: 0 })).toEqual([404, 'No webhook has the name "none".']);
    expect(await replay('audit', { after: 0, room: 'lobby' })).toEqual([404, 'The webhook has no room "lobby".']);
    expect(await replay('audit', { after: 9, room: 'orders:1' })).toEqual([
      400,
      '"after" must be at most 3, the newest message.',
    ]);
    expect((await replay('audit', {}))[0]).toBe(400);
  });

  test('counts, and logs each change of state once', async () => {
    const { receiver, config, url, running } = await start();
    let failures = 0;
    receiver.answer = (_, response) => response.writeHead(failures++ < 2 ? 500 : 200).end();
    await publish(url, config.key, 'orders:1', 'a');
    await running.line('webhook is delivered again');
    const fails = running.log.filter(({ msg }) => msg === 'webhook fails, and is tried again');
    expect(fails).toMatchObject([{ webhook: 'audit', room: 'orders:1', status: '500' }]);
    const page = await (await fetch(`${url}/metrics`)).text();
    const value = (name: string) =>
      page
        .split('\n')
        .find((line) => line.startsWith(`pumphouse_webhook_${name}`))
        ?.split(' ')
        .at(-1);
    expect(value('failures_total{webhook="audit",class="5xx"}')).toBe('2');
    expect(value('deliveries_total{webhook="audit"}')).toBe('1');
    expect(value('messages_total{webhook="audit"}')).toBe('1');
    expect(value('lag_messages{webhook="audit"}')).toBe('0');
    expect(value('oldest_seconds{webhook="audit"}')).toBe('0');
    expect(JSON.stringify(running.log)).not.toContain(SECRET.slice(6));
    expect(JSON.stringify(running.log)).not.toContain('token=private');
  });

  test('finishes what is on its way at a shutdown, and goes on in the next process', async () => {
    const { receiver, config, url, running } = await start({}, ['--engine', 'lmdb']);
    const waiting: (() => void)[] = [];
    receiver.answer = (_, response) => void waiting.push(() => response.end());
    await publish(url, config.key, 'orders:1', 'a');
    await until('a request is on its way', () => waiting.length === 1);
    await publish(url, config.key, 'orders:1', 'b');
    const ended = running.end();
    await new Promise((resolve) => setTimeout(resolve, 300));
    waiting[0]?.();
    expect((await ended).code).toBe(0);
    expect(receiver.requests).toHaveLength(1);
    receiver.answer = (_, response) => response.end();
    const next = await serve([...config.flags, ...flags, '--engine', 'lmdb']);
    await until('the rest is delivered', () => receiver.seqs('orders:1').length === 2);
    expect(
      receiver.requests.map(({ body }) => body.type === 'messages' && body.messages.map(({ seq }) => seq)),
    ).toEqual([[1], [2]]);
    expect((await next.running.end()).code).toBe(0);
  });
});

describe('an embedded server', () => {
  const start = async (options: ServerOptions) => {
    const server = await createServer({ port: 0, drainWindow: 0, publicMetrics: 'on', ...options });
    closing.push(() => server.stop());
    return server;
  };

  test('delivers, also with an engine of the program', async () => {
    const receiver = await startReceiver();
    const { folder } = writeConfig({});
    for (const engine of ['memory', 'lmdb', lmdb({ path: folder })] as const) {
      const room = `orders:${typeof engine === 'string' ? engine : 'own'}`;
      const webhooks = [webhookTo(receiver.url)] as unknown as NonNullable<ServerOptions['webhooks']>;
      const data = engine === 'lmdb' ? { data: join(folder, 'data') } : {};
      const server = await start({ engine, webhooks, ...data });
      server.hub.broadcast({ room, from: 'ada', id: '1', data: '"x"', json: true, bytes: 3 });
      await until('it is delivered', () => receiver.seqs(room).length === 1);
    }
    expect(receiver.violations).toEqual([]);
  });

  test('begins with the stored messages of rooms on disk where the webhook says so', async () => {
    const receiver = await startReceiver();
    const { folder } = writeConfig({});
    const data = join(folder, 'data');
    const first = await createServer({ port: 0, drainWindow: 0, engine: 'lmdb', data });
    for (const room of ['orders:1', 'orders:2', 'other']) {
      for (const id of ['1', '2']) first.hub.broadcast({ room, from: 'ada', id, data: id, json: true, bytes: 1 });
    }
    await first.stop();
    const webhooks = [webhookTo(receiver.url, { from: 'start' })] as unknown as NonNullable<ServerOptions['webhooks']>;
    await start({ engine: 'lmdb', data, webhooks });
    await until('it is delivered', () => receiver.seqs('orders:1').length + receiver.seqs('orders:2').length === 4);
    expect([...receiver.messages.keys()].sort()).toEqual(['orders:1', 'orders:2']);
  });

  test('tells the command what is wrong', async () => {
    const { folder, key } = writeConfig({});
    const webhooks = [webhookTo('https://example.com')] as unknown as NonNullable<ServerOptions['webhooks']>;
    const { url } = await start({ webhooks, keys: join(folder, 'keys.json') });
    const command = (...args: string[]) => run(['webhook', ...args, '--url', url, '--key', key]);
    const [unknown, invalid, wrongKey, noKey, nowhere] = await Promise.all([
      command('replay', 'none', '--after', '0'),
      command('replay', 'audit', '--after', 'x'),
      run(['webhook', 'list', '--url', url, '--key', 'wrong']),
      run(['webhook', 'list', '--url', url]),
      run(['webhook', 'list', '--url', 'http://127.0.0.1:59999', '--key', 'x']),
    ]);
    expect(unknown).toMatchObject({ code: 2, stderr: `pumphouse: ${url}: No webhook has the name "none".\n` });
    expect(invalid.stderr).toContain('--after: "x" is not the number of a message');
    expect(wrongKey.stderr).toContain('The key is not valid.');
    expect(noKey.stderr).toContain('set --key or PUMPHOUSE_API_KEY');
    expect(nowhere.stderr).toContain('cannot be reached (ECONNREFUSED)');
  });

  test('refuses a private address that is not allowed', async () => {
    const receiver = await startReceiver();
    const webhooks = [webhookTo(receiver.url, { allowPrivate: false })] as unknown as NonNullable<
      ServerOptions['webhooks']
    >;
    const server = await start({ webhooks });
    server.hub.broadcast({ room: 'orders:1', from: 'ada', id: '1', data: '"x"', json: true, bytes: 3 });
    const metrics = async () => (await fetch(`${server.url}/metrics`)).text();
    await expect.poll(metrics).toContain('failures_total{webhook="audit",class="refused"} 1');
    expect(receiver.connections).toBe(0);
  });

  test.each([
    [{ name: 'a b' }, 'webhooks.0.name: "a b" is not a name of 1 to 64 letters, digits, dots, hyphens and underscores'],
    [{ url: 'ftp://example.com' }, 'webhooks.0.url: "ftp://example.com" is not a URL with https or http'],
    [{ url: 'https://me:pass@example.com/' }, 'webhooks.0.url: has a user or a password'],
    [{ secret: 'whsec_short' }, 'webhooks.0.secret: the value is not a secret: whsec_ and 24 to 64 bytes in base64'],
    [{ rooms: ['a*b'] }, 'has a * before its end'],
    [{ allowPrivate: ['10.0.0.0/33'] }, 'is not a list of networks such as 10.0.0.0/8'],
    [{ from: 'later' }, 'webhooks.0.from: "later" is not one of now, start'],
    [{ timeout: 5 }, 'webhooks.0.timeout: 5 is not a number of milliseconds (100 to 120000)'],
    [{ retries: 3 }, 'retries'],
  ])('rejects a webhook with %j', async (settings, message) => {
    const webhooks = [webhookTo('https://example.com', settings)] as unknown as NonNullable<ServerOptions['webhooks']>;
    await expect(createServer({ webhooks })).rejects.toThrow(message);
  });

  test('rejects a name that occurs twice', async () => {
    const webhook = webhookTo('https://example.com');
    const webhooks = [webhook, webhook] as unknown as NonNullable<ServerOptions['webhooks']>;
    const error = await createServer({ webhooks }).catch((cause: Error) => cause);
    expect((error as Error).message).toContain('audit occurs twice');
    expect((error as Error).message).not.toContain(SECRET.slice(6));
  });
});

test('check-config hides the secret', async () => {
  const { flags } = writeConfig({ webhooks: [webhookTo('https://example.com/hook')] });
  const { code, stdout, stderr } = await run(['check-config', ...flags]);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toContain('"secret":"(set)"');
  expect(stdout).not.toContain(SECRET.slice(6));
});
