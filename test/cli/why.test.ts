import { afterEach, expect, test, vi } from 'vitest';
import { Keys } from '../../src/auth/keys.ts';
import { addWhyCommand } from '../../src/commands/why.ts';
import type { UserSessionsAnswer } from '../../src/protocol/session-life.ts';
import { temporaryFolder } from '../deploy/proxies.ts';
import { Native, sessionOf } from '../lives/admin.ts';
import { Running, run } from './command.ts';
import { failureOf as failureOfCommand } from './failure.ts';

const commands: Running[] = [];
afterEach(async () => {
  await Promise.all(commands.splice(0).map((command) => command.end()));
});

async function start(...flags: string[]) {
  const running = new Running(['serve', '--port', '0', '--engine', 'memory', '--host', '127.0.0.1', ...flags]);
  commands.push(running);
  const urlIn = async (message: string) =>
    /https?:\S+/.exec(String((await running.line(message))['msg']))?.[0] as string;
  return { url: await urlIn('serves http'), admin: await urlIn('serves operators') };
}

/** Runs the command in this process. @returns the line of its error. */
const failureOf = (args: readonly string[], env?: Record<string, string>) =>
  failureOfCommand(addWhyCommand, ['why', ...args], env);

test('tells how the connections of a user ended, over all workers, and asks for a key where the server does', async () => {
  const file = `${temporaryFolder()}/keys.json`;
  const key = new Keys(file).add({ name: 'operator', scopes: ['admin'] });
  const local = await start('--admin-listen', '127.0.0.1:0', '--workers', '2');
  const user = 'ada \u202e\u001b[31m';
  let resume: string | undefined;
  let session = '';
  for (let i = 0; i < 6; i++) {
    const query = `user=${encodeURIComponent(user)}&room=${encodeURIComponent('\u001b]0;x')}`;
    const client = new Native(local.url, query, resume ? [`resume.${resume}`] : []);
    const welcome = await client.next('welcome');
    await client.next('joined');
    if (resume) client.send({ t: 'report', code: 1006, reason: '\u001b[2Jgone', after: 5, away: 1, online: false });
    client.send({ t: 'ping' });
    await client.next('pong');
    client.socket.terminate();
    await client.closed;
    ({ resume, session } = welcome);
  }
  // Each connection was on the worker that the kernel chose.
  await vi.waitUntil(async () => {
    const { connections } = await sessionOf(local.admin, session);
    return connections.length === 6 && connections.every(({ end }) => end !== undefined);
  });
  const told = await run(['why', user, '--url', local.admin]);
  expect(told).toMatchObject({ code: 0, stderr: '' });
  expect(told.stdout).toContain(`Session ${session} of ada \\u{202e}\\u{1b}[31m: 6 connections, the newest first`);
  expect(told.stdout).toMatch(/connected as a guest, and resumed its session\n {2}[\d:]+ {2}joined \\u\{1b\}\]0;x/);
  expect(told.stdout).toContain('closed by the network or the client with 1006');
  expect(told.stdout).toContain('The device of the client was offline.');
  expect(told.stdout).toContain('saw it end with code 1006 “\\u{1b}[2Jgone”');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal would obey
  expect(told.stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
  const json = await run(['why', '--session', session, '--url', local.admin, '--json']);
  expect((JSON.parse(json.stdout) as UserSessionsAnswer).sessions[0]?.connections).toHaveLength(6);

  const remote = await start('--admin-listen', '0.0.0.0:0', '--keys', file);
  const url = remote.admin.replace('0.0.0.0', '127.0.0.1');
  expect(await failureOf(['bob', '--url', url])).toBe(
    `${url} asks for a key: set --key or PUMPHOUSE_ADMIN_KEY to one with the scope admin`,
  );
  expect(await failureOf(['nobody', '--url', url, '--key', key])).toContain('no connection of this user is remembered');
  expect(await failureOf(['nobody', '--url', url], { PUMPHOUSE_ADMIN_KEY: key })).toContain('is remembered');
  expect(await failureOf(['bob', '--url', remote.url])).toContain('is not the admin listener');
}, 60_000);

test('rejects invalid arguments with one line', async () => {
  const whom = 'why: name a user, as in pumphouse why ada, or a session with --session ID';
  expect(await failureOf([])).toBe(whom);
  expect(await failureOf(['ada', '--session', 's'])).toBe(whom);
  expect(await failureOf([''])).toBe('why: the name is empty');
  expect(await failureOf(['ada', '--url', 'ftp://127.0.0.1'])).toBe(
    '"ftp://127.0.0.1" is not a URL such as http://127.0.0.1:9090',
  );
  expect(await failureOf(['ada', '--url', 'no nonsense'])).toBe(
    '"no nonsense" is not a URL such as http://127.0.0.1:9090',
  );
  expect(await failureOf(['ada', '--url', '127.0.0.1:1025'])).toBe(
    'http://127.0.0.1:1025 cannot be reached (ECONNREFUSED); is the server started with --admin-listen?',
  );
});
