import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

// It runs as its sources are, or as they were built.
const SOURCES = import.meta.url.endsWith('.ts');
const root = fileURLToPath(new URL(SOURCES ? '..' : '../..', import.meta.url));
const COMMAND: readonly string[] = SOURCES ? ['--import', 'tsx', 'src/cli.ts'] : ['dist/cli.js'];

/** A server in a process of its own, as a user starts it. */
export interface Server {
  readonly port: number;
  readonly pid: number | undefined;
  readonly url: string;
  /** Ends it and waits until it is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/**
 * Starts `pumphouse serve` and waits until it says that it is well.
 *
 * @param flags of `serve`, beside host and port. @param port a free one unless given. @param command what Node runs.
 */
export async function startServer(
  flags: readonly string[] = [],
  port?: number,
  command: readonly string[] = COMMAND,
): Promise<Server> {
  const at = port ?? (await freePort());
  const all = ['--host', '127.0.0.1', '--port', String(at), '--log-level', 'warn', '--engine', 'memory', ...flags];
  const server = spawn(process.execPath, [...command, 'serve', ...all], {
    cwd: root,
    // Its log must not get between the lines of a report.
    stdio: ['ignore', process.stderr, process.stderr],
  });
  const url = `http://127.0.0.1:${at}`;
  const running = () => server.exitCode === null && server.signalCode === null;
  while (!(await healthy(url))) {
    if (!running()) throw new Error(`the server ended with ${server.exitCode ?? server.signalCode} before it was up`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const kill = async (signal: NodeJS.Signals = 'SIGTERM') => {
    if (!running()) return;
    const gone = once(server, 'exit');
    server.kill(signal);
    await gone;
  };
  return { port: at, pid: server.pid, url, kill };
}

async function healthy(url: string): Promise<boolean> {
  return fetch(`${url}/healthz`).then(
    (answer) => answer.ok,
    () => false,
  );
}

/** @returns a port that nobody has. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
