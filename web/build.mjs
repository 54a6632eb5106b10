// Builds the chat if its sources are newer than the last build, so that a server started from a
// checkout serves the current sources.
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const sources = ['web/app', 'web/sdk', 'src/protocol'].map((folder) => join(root, folder));
const output = join(root, 'dist/web/index.html');

const modifiedAt = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const newestIn = (folder) =>
  Math.max(...readdirSync(folder, { recursive: true }).map((file) => modifiedAt(join(folder, file))));

const sourcesModifiedAt = Math.max(...sources.map(newestIn), modifiedAt(join(root, 'package-lock.json')));
if (sourcesModifiedAt >= modifiedAt(output)) {
  const vite = join(dirname(createRequire(import.meta.url).resolve('vite/package.json')), 'bin/vite.js');
  const env = { ...process.env, NODE_ENV: 'production' };
  execFileSync(process.execPath, [vite, 'build', 'web/app', '--logLevel', 'warn'], {
    cwd: root,
    env,
    stdio: 'inherit',
  });
}
