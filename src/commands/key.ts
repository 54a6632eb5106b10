import type { Command } from 'commander';
import { Keys, KeysError, type Scope, scopes } from '../auth/keys.ts';

const FILE = 'pumphouse-keys.json';

interface AddOptions {
  readonly keys: string;
  readonly scopes: string;
  readonly rooms?: readonly string[];
}

/** `pumphouse key add|list|remove`: manages the keys file of the Server API. */
export function addKeyCommand(program: Command): void {
  const key = program.command('key').description('Manage the keys of programs to the Server API at /api/v1.');
  const withFile = (command: Command) =>
    command
      .allowExcessArguments(false)
      .option('--keys <FILE>', 'keys file (env PUMPHOUSE_KEYS)', process.env['PUMPHOUSE_KEYS'] ?? FILE);

  withFile(key.command('add <NAME>'))
    .description('Add a key and print it. It is shown this once: the file has its hash.')
    .requiredOption('--scopes <LIST>', `what the key allows: ${scopes.join(', ')}, separated by commas`)
    .option('--rooms <PATTERN...>', 'rooms that the key allows; a trailing * matches any ending (default: all)')
    .action((name: string, { keys, scopes: list, rooms }: AddOptions) => {
      console.log(new Keys(keys).add({ name, scopes: parseScopes(list), ...(rooms && { rooms }) }));
    });
  withFile(key.command('list'))
    .description('List the keys: id, name, scopes, rooms, and the day each was added.')
    .action(({ keys }: { keys: string }) => {
      for (const { id, name, scopes, rooms = ['*'], created } of new Keys(keys).list()) {
        const day = new Date(created).toISOString().slice(0, 10);
        console.log([id, name, scopes.join(','), rooms.join(','), day].join('\t'));
      }
    });
  withFile(key.command('remove <NAME>'))
    .description('Remove a key by its name or its id. The server rejects it from its next request on.')
    .action((name: string, { keys }: { keys: string }) => {
      new Keys(keys).remove(name);
      console.log(`removed ${name} from ${keys}`);
    });
}

function parseScopes(list: string): readonly Scope[] {
  const given = [...new Set(list.split(',').map((scope) => scope.trim()))];
  const unknown = given.find((scope) => !(scopes as readonly string[]).includes(scope));
  if (unknown !== undefined) {
    throw new KeysError(`--scopes: ${JSON.stringify(unknown)} is not one of ${scopes.join(', ')}`);
  }
  return given as Scope[];
}
