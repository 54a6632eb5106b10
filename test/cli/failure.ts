import { Command, CommanderError } from 'commander';
import { vi } from 'vitest';
import { KeysError } from '../../src/auth/keys.ts';
import { ConfigError } from '../../src/config/error.ts';

/**
 * Runs a command in this process, which takes a tenth of the time of a process of its own.
 *
 * @param add adds the command to a program.
 * @returns the line of its error, which the program prints before it exits with 2.
 * @throws Error if it succeeds, or fails with an error that is a crash of the program.
 */
export async function failureOf(
  add: (program: Command) => void,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const program = new Command().configureOutput({ writeErr: () => {} }).exitOverride();
  try {
    add(program);
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    const isLine = [CommanderError, ConfigError, KeysError].some((kind) => error instanceof kind);
    if (isLine) return (error as Error).message;
    throw error;
  } finally {
    vi.unstubAllEnvs();
  }
  throw new Error('the command has not failed');
}
