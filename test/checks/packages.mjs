// Packs pumphouse and pumphouse-client as npm publishes them, and checks the tarballs with publint
// and attw.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'pumphouse-pack-'));
const run = (command, ...args) => execFileSync(command, args, { stdio: 'inherit' });
try {
  run('npm', 'pack', '--silent', '--workspaces', '--include-workspace-root', '--pack-destination', folder);
  const tarballs = readdirSync(folder);
  if (tarballs.length !== 2) throw new Error(`expected 2 tarballs, got ${tarballs}`);
  for (const tarball of tarballs) {
    run('npx', '--no-install', 'publint', '--strict', join(folder, tarball));
    run('npx', '--no-install', 'attw', '--profile', 'esm-only', join(folder, tarball));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
