import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import '../web/build.mjs';

const newest = (folder: string) =>
  Math.max(...readdirSync(folder, { recursive: true }).map((file) => statSync(join(folder, String(file))).mtimeMs));
const built = statSync('dist/cli.js', { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** The tests are of the chat and the server as they are: both are built if their sources have changed. */
export function setup(): void {
  if (newest('src') < built) return;
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], {
    stdio: 'inherit',
  });
}
