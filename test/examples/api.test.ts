import { execFile, spawnSync } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiServer } from '../api/server.ts';

const languages = [
  { name: 'sh', command: ['sh', 'examples/api/publish.sh'], check: ['curl', '--version'] },
  { name: 'Python', command: ['python3', 'examples/api/publish.py'], check: ['python3', '--version'] },
  { name: 'Go', command: ['go', 'run', 'examples/api/publish.go'], check: ['go', 'version'] },
  { name: 'PHP', command: ['php', 'examples/api/publish.php'], check: ['php', '--version'] },
];

const installed = languages.filter(({ check: [program = '', ...args] }) => spawnSync(program, args).status === 0);
for (const language of languages) {
  const { name, command, check } = language;
  if (!installed.includes(language))
    console.log(`skipped: ${command.at(-1)}, because ${check[0]} is not installed (${name})`);
}

/** Runs an example. @returns its output. */
function publish(command: readonly string[], url: string, key: string, data: string, id: string) {
  const [program = '', ...args] = command;
  const options = { env: { ...process.env, KEY: key, GO111MODULE: 'off' } };
  return new Promise<{ failed: boolean; stdout: string; stderr: string }>((resolve) => {
    execFile(program, [...args, url, 'orders:42', data, id], options, (error, stdout, stderr) => {
      resolve({ failed: error !== null, stdout, stderr });
    });
  });
}

describe.each(installed)('the example in $name', ({ command }) => {
  let server: ApiServer;
  let busy: Server;
  let refusals = 0;
  let busyUrl: string;

  beforeAll(async () => {
    server = await ApiServer.start('uws');
    // The first request is rejected for now, the others reach the server.
    busy = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      if (refusals++ === 0) {
        const headers = { 'content-type': 'application/problem+json', 'retry-after': '1' };
        response.writeHead(503, headers).end('{"detail":"The queue is full.","status":503}');
        return;
      }
      const text = Buffer.concat(chunks).toString();
      const answer = await server.call('/publish', { text });
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.text);
    });
    await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
    busyUrl = `http://127.0.0.1:${(busy.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    busy.close();
    busy.closeAllConnections();
    await server.stop();
  });

  test('publishes a message, once for one id', { timeout: 60_000 }, async () => {
    const first = await publish(command, server.url, server.key, '{"state":"paid"}', 'p1');
    expect(first.stderr).toBe('');
    expect(JSON.parse(first.stdout)).toMatchObject({ room: 'orders:42', id: 'p1', seq: 1 });
    const second = await publish(command, server.url, server.key, '{"state":"paid"}', 'p1');
    expect(JSON.parse(second.stdout)).toMatchObject({ seq: 1, duplicate: true });
    const { body } = await server.call('/rooms/orders:42/messages');
    expect(body.messages).toMatchObject([{ data: { state: 'paid' } }]);
  });

  test('repeats a message while the server cannot take it', { timeout: 60_000 }, async () => {
    refusals = 0;
    const { stdout } = await publish(command, busyUrl, server.key, '1', 'p2');
    expect(JSON.parse(stdout)).toMatchObject({ id: 'p2', seq: 2 });
    expect(refusals).toBe(2);
  });

  test('fails at once with a key that lacks the scope', { timeout: 60_000 }, async () => {
    const key = server.add({ scopes: ['read'] });
    const { failed, stdout, stderr } = await publish(command, server.url, key, '1', 'p3');
    expect(failed).toBe(true);
    expect(stdout + stderr).toContain('The key lacks the scope publish.');
  });
});
