import { execFile } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The oldest major version that the engine supports. */
const OLDEST = 7;
/** Names the executable of the server that the tests run on. */
const VARIABLE = 'TEST_REDIS_SERVER';

/** The executable of a server. `--sentinel` makes it a sentinel. */
export interface Installed {
  readonly path: string;
  /** Such as `redis-server 7.0.15`. */
  readonly version: string;
}

/** A missing server, and the reason in one line. */
export interface Missing {
  readonly path?: undefined;
  readonly reason: string;
}

/**
 * Finds Redis or Valkey, version 7 or newer: the executable that `TEST_REDIS_SERVER` names, or one
 * in the PATH. Installs Redis if it is missing and that is possible, which takes root on Debian. A
 * test file that needs a server skips with the reason:
 *
 *     const redis = await findRedis();
 *     beforeEach((context) => context.skip(!redis.path, redis.reason));
 */
export async function findRedis(): Promise<(Installed & { readonly reason?: undefined }) | Missing> {
  const named = process.env[VARIABLE];
  if (named) return search([named]);
  const found = await search();
  if (found.path) return found;
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) return found;
  await install();
  return search();
}

async function search(names = ['redis-server', 'valkey-server']): Promise<Installed | Missing> {
  let reason = `no Redis: these tests need ${names.join(' or ')}, version ${OLDEST} or newer`;
  for (const name of names) {
    const output = await run(name, ['--version']).catch(() => undefined);
    const version = output?.stdout.match(/v=(\d+)[.\d]*/);
    if (!version) continue;
    const found = `${name} ${version[0].slice(2)}`;
    if (Number(version[1]) >= OLDEST) return { path: name, version: found };
    reason = `no Redis: ${found} is too old, these tests need version ${OLDEST} or newer`;
  }
  return { reason };
}

/** Installs the package without starting its service, which would occupy port 6379. */
async function install(): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const policy = '/usr/sbin/policy-rc.d';
  const addsPolicy = !existsSync(policy);
  if (addsPolicy) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await run('apt-get', ['update'], { env }).catch(() => undefined);
    const flags = ['-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300'];
    await run('apt-get', ['install', ...flags, 'redis-server'], { env }).catch(() => undefined);
  } finally {
    if (addsPolicy) rmSync(policy, { force: true });
  }
}
