import type { Command } from 'commander';
import { adminServer, DEFAULT_ADMIN_URL } from './admin-client.ts';
import type { TopOptions } from './top/run.ts';

/** `pumphouse top`: shows what a server does, from its admin listener. */
export function addTopCommand(program: Command): void {
  program
    .command('top [URL]')
    .description('Show what a running server does: its load, its members and its hottest rooms.')
    .allowExcessArguments(false)
    .option('--key <KEY>', 'key with the scope admin, where the listener asks for one (env PUMPHOUSE_ADMIN_KEY)')
    .option('--once', 'print one screen and exit; with --json one snapshot')
    .option('--json', 'print each snapshot as a line of JSON')
    .addHelpText('after', `\nURL is that of --admin-listen (default ${DEFAULT_ADMIN_URL}). q or Ctrl+C ends it.`)
    .action(async (url: string | undefined, { key, ...options }: TopOptions & { readonly key?: string }) => {
      const { runTop } = await import('./top/run.ts');
      await runTop(adminServer(url ?? DEFAULT_ADMIN_URL, key), options);
    });
}
