import { execFile } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The programs of the tests, and Debian's packages that contain them. */
const packages = { caddy: 'caddy', nginx: 'nginx', prometheus: 'prometheus', promtool: 'prometheus' };
const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];

type Program = keyof typeof packages;

/** The path of a program, or the reason in one line why it is missing. */
type Found =
  | { readonly path: string; readonly reason?: undefined }
  | { readonly path?: undefined; readonly reason: string };

/**
 * Finds a program. Installs it if it is missing and that is possible, which takes root on Debian. A
 * test that needs the program skips with the reason:
 *
 *     const caddy = await findProgram('caddy');
 *     beforeEach((context) => context.skip(!caddy.path, caddy.reason));
 */
export async function findProgram(program: Program): Promise<Found> {
  if (!search(program) && process.getuid?.() === 0 && existsSync('/etc/debian_version')) await install(program);
  const path = search(program);
  return path ? { path } : { reason: `no ${program}: these tests need ${program} in the PATH` };
}

function search(program: Program): string | undefined {
  return folders.map((folder) => join(folder, program)).find(existsSync);
}

/** Installs the package without starting its service. */
async function install(program: Program): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const policy = '/usr/sbin/policy-rc.d';
  const addsPolicy = !existsSync(policy);
  if (addsPolicy) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await run('apt-get', ['update'], { env }).catch(() => undefined);
    const flags = ['-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300'];
    await run('apt-get', ['install', ...flags, packages[program]], { env }).catch(() => undefined);
  } finally {
    if (addsPolicy) rmSync(policy, { force: true });
  }
}
