import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { Command } from 'commander';
import { Users } from '../auth/users.ts';

const FILE = 'pumphouse-users.json';

/** `pumphouse user add|list|remove`: manages the users file. */
export function addUserCommand(program: Command): void {
  const user = program.command('user').description('Manage the users file of --auth otp.');
  const withFile = (command: Command) =>
    command
      .allowExcessArguments(false)
      .option('--users <FILE>', 'users file (env PUMPHOUSE_USERS)', process.env['PUMPHOUSE_USERS'] ?? FILE);

  withFile(user.command('add <NAME>'))
    .description(
      'Add a user or change a password. Prompts for the password, or reads the first line of standard input.',
    )
    .action(async (name: string, { users }: { users: string }) => {
      const isNew = await new Users(users).set(name, await askPassword(name));
      console.log(isNew ? `added ${name} to ${users}` : `changed the password of ${name}`);
    });
  withFile(user.command('list'))
    .description('List the users by name.')
    .action(({ users }: { users: string }) => {
      for (const name of new Users(users).names()) console.log(name);
    });
  withFile(user.command('remove <NAME>'))
    .description('Remove a user. Open connections stay open.')
    .action((name: string, { users }: { users: string }) => {
      new Users(users).remove(name);
      console.log(`removed ${name} from ${users}`);
    });
}

/** Reads a password without echoing it. */
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
