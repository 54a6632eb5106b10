import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);
const path = '/usr/bin/chromium';

/** Flags to run Chromium as root, without a display and without background network traffic. */
export const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * Returns the path of Chromium; undefined if it is missing. Installs it if possible, which takes
 * root on Debian.
 */
export async function chromium(): Promise<string | undefined> {
  if (existsSync(path)) return path;
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) return undefined;
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['update'], { env }).catch(() => undefined);
  await run('apt-get', ['install', '-y', '--no-install-recommends', 'chromium'], { env }).catch(() => undefined);
  return existsSync(path) ? path : undefined;
}
