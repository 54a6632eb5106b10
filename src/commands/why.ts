import type { Command } from 'commander';
import { ConfigError } from '../config/error.ts';
import type { SessionAnswer, UserSessionsAnswer } from '../protocol/session-life.ts';
import { Absent, adminServer, DEFAULT_ADMIN_URL, readAdmin } from './admin-client.ts';
import { tellSessions } from './why-text.ts';

interface Options {
  readonly url: string;
  readonly key?: string;
  readonly json?: true;
  readonly session?: string;
}

/** `pumphouse why USER`: tells why the connections of a user ended. */
export function addWhyCommand(program: Command): void {
  program
    .command('why [USER]')
    .description('Tell why a user was disconnected: the last connections, what happened to them, and how they ended.')
    .allowExcessArguments(false)
    .option('--url <URL>', 'the admin listener of any node (see serve --admin-listen)', DEFAULT_ADMIN_URL)
    .option('--key <KEY>', 'key with the scope admin, where the listener asks for one (env PUMPHOUSE_ADMIN_KEY)')
    .option('--session <ID>', 'one session, in place of a user')
    .option('--json', 'print the answer of the server as JSON')
    .action(async (user: string | undefined, options: Options) => {
      const answer = await read(user, options);
      console.log(options.json ? JSON.stringify(answer, null, 2) : tellSessions(answer));
    });
}

/** @throws ConfigError with one line unless there is an answer. */
async function read(user: string | undefined, { session, url, key }: Options): Promise<UserSessionsAnswer> {
  if ((user === undefined) === (session === undefined)) {
    throw new ConfigError('why: name a user, as in pumphouse why ada, or a session with --session ID');
  }
  if (user === '' || session === '') throw new ConfigError('why: the name is empty');
  const server = adminServer(url, key);
  try {
    if (user !== undefined) {
      return await readAdmin<UserSessionsAnswer>(server, `/admin/v1/users/${encodeURIComponent(user)}/sessions`);
    }
    const path = `/admin/v1/sessions/${encodeURIComponent(session ?? '')}`;
    const { missing, ...life } = await readAdmin<SessionAnswer>(server, path);
    return { user: life.user, sessions: [life], missing };
  } catch (error) {
    if (!(error instanceof Absent)) throw error;
    throw new ConfigError(`${error.message}; the last 10,000 closed connections are kept, since the start`);
  }
}
