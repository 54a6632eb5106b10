// Builds the pages whose sources are newer than their last build, so that a server started from a
// checkout serves the current sources.
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

const modifiedAt = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const newestIn = (folder) =>
  Math.max(...readdirSync(folder, { recursive: true }).map((file) => modifiedAt(join(folder, file))));

/**
 * Builds a page of `web`, if one of its sources is newer than the page in `output`.
 *
 * @param {string} page
 * @param {readonly string[]} libraries folders that the page imports, too.
 * @param {string} output
 */
function build(page, libraries, output) {
  const folders = [page, ...libraries].map((folder) => join(root, folder));
  const sourcesModifiedAt = Math.max(...folders.map(newestIn), modifiedAt(join(root, 'package-lock.json')));
  if (sourcesModifiedAt < modifiedAt(join(root, output, 'index.html'))) return;
  const vite = join(dirname(createRequire(import.meta.url).resolve('vite/package.json')), 'bin/vite.js');
  const env = { ...process.env, NODE_ENV: 'production' };
  execFileSync(process.execPath, [vite, 'build', page, '--logLevel', 'warn'], { cwd: root, env, stdio: 'inherit' });
}

build('web/app', ['web/sdk', 'src/protocol'], 'dist/web');
build('web/admin', ['src/protocol'], 'dist/admin-page');
