import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Peer } from '../conformance/server.ts';

describe.each([
  ['with-http', 'the program'],
  ['with-express', 'Express'],
  ['with-fastify', 'Fastify'],
])('the example %s', (example, framework) => {
  let program: ChildProcess | undefined;
  let url: string;
  let lines: string[];

  beforeEach(async () => {
    if (program?.exitCode === null) return; // the tests share it
    lines = [];
    program = spawn(process.execPath, ['--import', 'tsx', `examples/${example}.ts`], {
      env: { ...process.env, PORT: '0' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    for await (const line of createInterface({ input: program.stdout as NodeJS.ReadableStream })) {
      lines.push(line);
      url = /^listening on (.*)$/.exec(line)?.[1] ?? '';
      if (url) break;
    }
  });

  afterAll(() => {
    program?.kill('SIGKILL');
  });

  test('serves its own route, the chat and the health', async () => {
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(await (await fetch(`${url}/hello`)).text()).toBe(`hello from ${framework}\n`);
    const page = await fetch(url);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(await page.text()).toContain('<title>Pumphouse</title>');
    expect(await (await fetch(`${url}/healthz`)).text()).toBe('ok\n');
    expect((await fetch(`${url}/missing`)).status).toBe(404);
  });

  test('passes messages of sockets and of posts on, and logs in JSON', async () => {
    const port = Number(new URL(url).port);
    const [ada, bob] = [await Peer.connect(port, '?user=ada'), await Peer.connect(port, '?user=bob')];
    await ada.join('lobby');
    await bob.join('lobby');
    await ada.say('lobby', { text: 'hello' });
    expect(await bob.next('message')).toMatchObject({ from: 'ada', data: { text: 'hello' } });
    // The content type of `curl -d`, which the frameworks would parse or reject.
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    expect((await fetch(`${url}/publish`, { method: 'POST', body: 'from a shell', headers })).status).toBe(202);
    expect(await bob.next('message')).toMatchObject({ data: { text: 'from a shell' } });
    const json = { method: 'POST', headers: { 'content-type': 'application/json' } };
    const body = JSON.stringify({ room_id: 'lobby', user_id: 'eve', message: 'as JSON' });
    expect((await fetch(`${url}/publish`, { ...json, body })).ok).toBe(true);
    expect(await bob.next('message')).toMatchObject({ from: 'eve', data: { text: 'as JSON' } });
    expect(lines.slice(0, -1).map((line) => JSON.parse(line))).toMatchObject([
      { level: 30, transport: 'ws', msg: "pumphouse is attached to the program's server" },
    ]);
    for (const { socket } of [ada, bob]) socket.terminate();
  });

  test('closes its clients on SIGTERM, and exits', async () => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
    await once(socket, 'open');
    const closed = once(socket, 'close');
    program?.kill();
    expect((await closed)[0]).toBe(1001);
    expect(await once(program as ChildProcess, 'exit')).toEqual([0, null]);
  });
});
