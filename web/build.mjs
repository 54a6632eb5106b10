// Builds the chat if its sources are newer than what was built of them: a server that is started from a checkout serves it as it is.
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const sources = ['web/app', 'web/sdk', 'src/protocol'].map((folder) => join(root, folder));
const built = join(root, 'dist/web/index.html');

const changed = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const newest = (folder) =>
  Math.max(...readdirSync(folder, { recursive: true }).map((file) => changed(join(folder, file))));

if (Math.max(...sources.map(newest), changed(join(root, 'package-lock.json'))) >= changed(built)) {
  const vite = join(dirname(createRequire(import.meta.url).resolve('vite/package.json')), 'bin/vite.js');
  const env = { ...process.env, NODE_ENV: 'production' };
  execFileSync(process.execPath, [vite, 'build', 'web/app', '--logLevel', 'warn'], {
    cwd: root,
    env,
    stdio: 'inherit',
  });
}
