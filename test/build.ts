import { execFileSync } from 'node:child_process';
import { readdirSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import '../web/build.mjs';

const ENTRY = 'dist/cli.js';
const LIBRARY = 'dist/sdk.js';
const newestMtime = (folder: string) =>
  Math.max(...readdirSync(folder, { recursive: true }).map((file) => statSync(join(folder, String(file))).mtimeMs));
const builtAt = (file: string) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/**
 * Builds the pages, the server and the client library, which canaries load, if their sources have
 * changed: tests run the current ones.
 */
export function setup(): void {
  if (Math.max(newestMtime('src'), newestMtime('bench')) >= builtAt(ENTRY)) {
    for (const project of ['tsconfig.build.json', 'bench/tsconfig.build.json']) {
      execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', project], { stdio: 'inherit' });
    }
    utimesSync(ENTRY, new Date(), new Date()); // an incremental build skips unchanged files
  }
  if (Math.max(newestMtime('web/sdk'), newestMtime('src/protocol')) >= builtAt(LIBRARY)) {
    execFileSync('npm', ['run', '--silent', 'build:sdk'], { stdio: 'inherit' });
  }
}
