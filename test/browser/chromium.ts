import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { type Browser, chromium as driver } from 'playwright-core';

const run = promisify(execFile);

/** Chromium without the parts of a desktop, which opens a page in a third of the CPU time. */
const SHELL = '/usr/bin/chromium-headless-shell';
/** The whole of Chromium. It is needed where the browser's own surface takes part. */
const WHOLE = '/usr/bin/chromium';

/** Flags to run Chromium as root, without a display and without background network traffic. */
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The reason of a skipped test. */
export const NO_CHROMIUM = 'no Chromium: the browser tests need /usr/bin/chromium';

const browsers = new Map<string, Promise<Browser | undefined>>();

/**
 * Returns the browser of this process, which all its test files share and none closes; undefined
 * if it is missing. Installs it if possible, which takes root on Debian.
 *
 * @param isWhole `true` for tests of what the shell has not: notifications and installation.
 */
export function chromium(isWhole = false): Promise<Browser | undefined> {
  const path = isWhole ? WHOLE : SHELL;
  let browser = browsers.get(path);
  if (!browser) {
    browser = launch(path);
    browsers.set(path, browser);
  }
  return browser;
}

async function launch(path: string): Promise<Browser | undefined> {
  if (!existsSync(path)) await install();
  const executablePath = [path, WHOLE].find((each) => existsSync(each));
  return executablePath === undefined ? undefined : driver.launch({ executablePath, args: FLAGS });
}

/** Installs both programs. Test files that run at the same time wait for each other. */
async function install(): Promise<void> {
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) return;
  const script = `test -x ${SHELL} || { apt-get update; apt-get install -y --no-install-recommends chromium chromium-headless-shell || apt-get install -y --no-install-recommends chromium; }`;
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('flock', ['/tmp/pumphouse-chromium.lock', 'sh', '-c', script], { env }).catch(() => undefined);
}
