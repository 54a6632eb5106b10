import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError } from '../../config/error.ts';
import type { Snapshot } from '../../protocol/snapshot.ts';
import { type AdminServer, Disconnected, readAdmin } from '../admin-client.ts';
import { ratesBetween } from './rates.ts';
import { renderScreen, type View } from './screen.ts';
import { readSnapshots } from './snapshots.ts';
import { Screen } from './terminal.ts';

/** What `pumphouse top` prints in place of a screen that it keeps up to date. */
export interface TopOptions {
  /** Prints one screen. */
  readonly once?: boolean;
  /** Prints snapshots as lines of JSON. */
  readonly json?: boolean;
}

const RETRY_MS = 1_000;

// The size of a screen that is not a terminal's.
const COLUMNS = 80;
const ROWS = 40;

/**
 * Shows what a server does, until the user quits it or the server cannot be reached.
 *
 * @throws ConfigError if the server cannot be reached, or the output is no terminal for a screen.
 */
export function runTop(server: AdminServer, { once, json }: TopOptions): Promise<void> {
  if (once) return json ? printSnapshot(server) : printScreen(server);
  if (json) return printSnapshots(server);
  if (process.stdout.isTTY) return showScreen(server);
  throw new ConfigError('top: the output is not a terminal; use --once or --json');
}

async function printSnapshot(server: AdminServer): Promise<void> {
  console.log(JSON.stringify(await readAdmin<Snapshot>(server, '/admin/v1/snapshot')));
}

/** Takes two snapshots, which its rates need. */
async function printScreen(server: AdminServer): Promise<void> {
  let before: Snapshot | undefined;
  for await (const snapshot of readSnapshots(server)) {
    const rates = before && ratesBetween(before, snapshot);
    before = snapshot;
    if (rates === undefined) continue;
    const { columns = COLUMNS } = process.stdout;
    const lines = renderScreen({ url: server.url, snapshot, rates }, { columns, rows: ROWS }, hasColours());
    console.log(lines.join('\n'));
    return;
  }
}

async function printSnapshots(server: AdminServer): Promise<void> {
  await watch(server, {
    received: (snapshot) => console.log(JSON.stringify(snapshot)),
    disconnected: (line) => console.error(`pumphouse: ${line}`),
  });
}

async function showScreen(server: AdminServer): Promise<void> {
  let view: View | undefined;
  let screen: Screen | undefined;
  const draw = () => {
    if (view && screen) screen.draw(renderScreen(view, screen.size, hasColours()));
  };
  const quit = (code: number) => {
    screen?.close();
    process.exit(code);
  };
  process.on('exit', () => screen?.close());
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => quit(0));
  const listener = {
    received: (snapshot: Snapshot) => {
      screen ??= new Screen(process.stdin, process.stdout, () => quit(0), draw);
      const rates = view && ratesBetween(view.snapshot, snapshot);
      view = { url: server.url, snapshot, rates };
      draw();
    },
    disconnected: (problem: string) => {
      view = view && { ...view, problem };
      draw();
    },
  };
  // Its error is printed on the screen that was there before.
  await watch(server, listener).finally(() => screen?.close());
}

/** Receives what a server sends. */
interface Watcher {
  received(snapshot: Snapshot): void;
  disconnected(line: string): void;
}

/**
 * Reads snapshots, and connects again when the server has been away.
 *
 * @throws ConfigError with one line if it cannot be reached at first, or refuses.
 */
async function watch(server: AdminServer, watcher: Watcher): Promise<never> {
  let connected = false;
  let isAway = false;
  for (;;) {
    try {
      for await (const snapshot of readSnapshots(server)) {
        connected = true;
        isAway = false;
        watcher.received(snapshot);
      }
    } catch (error) {
      if (!connected || !(error instanceof Disconnected)) throw error;
    }
    if (!isAway) watcher.disconnected('disconnected, retrying');
    isAway = true;
    await sleep(RETRY_MS);
  }
}

function hasColours(): boolean {
  const { NO_COLOR = '', TERM } = process.env;
  return process.stdout.isTTY === true && NO_COLOR === '' && TERM !== 'dumb';
}
