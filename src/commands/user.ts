import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { Command } from 'commander';
import { Users } from '../auth/users.ts';

const FILE = 'pumphouse-users.json';

/** `pumphouse user add|list|remove`: keeps the users file. */
export function addUserCommand(program: Command): void {
  const user = program.command('user').description('Keep the users who may sign in with --auth otp.');
  const withFile = (command: Command) =>
    command
      .allowExcessArguments(false)
      .option('--users <FILE>', 'the users file (env PUMPHOUSE_USERS)', process.env['PUMPHOUSE_USERS'] ?? FILE);

  withFile(user.command('add <NAME>'))
    .description('Add a user, or change the password. It is asked for, or read from the first line of standard input.')
    .action(async (name: string, { users }: { users: string }) => {
      const isNew = await new Users(users).set(name, await askPassword(name));
      console.log(isNew ? `${name} is in ${users}` : `${name} has a new password`);
    });
  withFile(user.command('list'))
    .description('List the users, by name.')
    .action(({ users }: { users: string }) => {
      for (const name of new Users(users).names()) console.log(name);
    });
  withFile(user.command('remove <NAME>'))
    .description('Remove a user, who is let in no more; connections that are open stay.')
    .action((name: string, { users }: { users: string }) => {
      new Users(users).remove(name);
      console.log(`${name} is gone from ${users}`);
    });
}

/** Shows nothing of what is typed. */
async function askPassword(name: string): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const { isTTY: terminal = false } = process.stdin;
  if (terminal) process.stderr.write(`Password of ${name}: `);
  const lines = createInterface({ input: process.stdin, output: silent, terminal });
  const [password] = await Promise.race([once(lines, 'line'), once(lines, 'close')]);
  lines.close();
  if (terminal) process.stderr.write('\n');
  return password ?? '';
}
