import { execFileSync } from 'node:child_process';
import { readdirSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import '../web/build.mjs';

const BUILT = 'dist/cli.js';
const newest = (folder: string) =>
  Math.max(...readdirSync(folder, { recursive: true }).map((file) => statSync(join(folder, String(file))).mtimeMs));
const built = statSync(BUILT, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** The tests are of the chat and the server as they are: both are built if their sources have changed. */
export function setup(): void {
  if (Math.max(newest('src'), newest('bench')) < built) return;
  for (const project of ['tsconfig.build.json', 'bench/tsconfig.build.json']) {
    execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', project], { stdio: 'inherit' });
  }
  utimesSync(BUILT, new Date(), new Date()); // it is written only where it has changed
}
