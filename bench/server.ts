import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { pinned } from './cpus.ts';
import { freePort } from './free-port.ts';

// From the sources, or from the build.
const SOURCES = import.meta.url.endsWith('.ts');
const root = fileURLToPath(new URL(SOURCES ? '..' : '../..', import.meta.url));
const COMMAND: readonly string[] = SOURCES ? ['--import', 'tsx', 'src/cli.ts'] : ['dist/cli.js'];

/** A server in its own process, started as a user starts it. */
export interface Server {
  readonly port: number;
  readonly pid: number | undefined;
  readonly url: string;
  /** Sends a signal and waits for the process to exit. @default SIGTERM */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/**
 * Starts `pumphouse serve` and waits until it is healthy. Rejects if the process exits first.
 *
 * @param flags flags of `serve`, in addition to host and port. @param port the port to listen on; a
 * free one by default.
 * @param command the arguments of Node.
 * @param cpus the CPUs to run on; all by default.
 */
export async function startServer(
  flags: readonly string[] = [],
  port?: number,
  command: readonly string[] = COMMAND,
  cpus?: readonly number[],
): Promise<Server> {
  const listenPort = port ?? (await freePort());
  const args = [
    '--host',
    '127.0.0.1',
    '--port',
    String(listenPort),
    '--log-level',
    'warn',
    '--engine',
    'memory',
    ...flags,
  ];
  const [program = '', ...programArgs] = pinned([process.execPath, ...command, 'serve', ...args], cpus);
  const server = spawn(program, programArgs, {
    cwd: root,
    // The server's log must not mix with the report on stdout.
    stdio: ['ignore', process.stderr, process.stderr],
  });
  const url = `http://127.0.0.1:${listenPort}`;
  const running = () => server.exitCode === null && server.signalCode === null;
  while (!(await healthy(url))) {
    if (!running())
      throw new Error(`the server exited with ${server.exitCode ?? server.signalCode} before it was healthy`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const kill = async (signal: NodeJS.Signals = 'SIGTERM') => {
    if (!running()) return;
    const exited = once(server, 'exit');
    server.kill(signal);
    await exited;
  };
  return { port: listenPort, pid: server.pid, url, kill };
}

/** Whether `pumphouse serve` has a flag. */
export function serveHas(flag: string): boolean {
  return execFileSync(process.execPath, [...COMMAND, 'serve', '--help'], { cwd: root, encoding: 'utf8' }).includes(
    flag,
  );
}

async function healthy(url: string): Promise<boolean> {
  return fetch(`${url}/healthz`).then(
    (response) => response.ok,
    () => false,
  );
}
