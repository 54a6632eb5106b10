import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.ts';
import type { Job } from './job.ts';
import type { Aof } from './load-options.ts';

const PROGRAM = 'redis-server';
const START_TIMEOUT_MS = 10_000;
const PING_TIMEOUT_MS = 1000;

/** A Redis server that the benchmark started for one run. */
export interface RedisServer {
  readonly url: string;
  readonly pid: number | undefined;
  readonly version: string;
  /** Kills the server and removes its folder. */
  stop(): Promise<void>;
}

/** @returns the version of the installed Redis. @throws Error if it is not installed. */
export function redisVersion(): string {
  try {
    const line = execFileSync(PROGRAM, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return /v=(\S+)/.exec(line)?.[1] ?? 'of an unknown version';
  } catch {
    throw new Error(`${PROGRAM} is not installed (Debian: apt-get install redis-server)`);
  }
}

/**
 * Leaves out the jobs of several nodes if Redis is not installed.
 *
 * @param missing receives a line for them.
 */
export function runnable(jobs: readonly Job[], missing: (line: string) => void): Job[] {
  const names = jobs.filter(({ load }) => load.nodes > 1).map(({ scenario }) => scenario?.name ?? 'the load');
  if (names.length === 0) return [...jobs];
  try {
    redisVersion();
    return [...jobs];
  } catch (error) {
    missing(`${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'} left out: ${(error as Error).message}`);
    return jobs.filter(({ load }) => load.nodes === 1);
  }
}

/**
 * Starts Redis on a free port of the loopback interface, with a temporary folder and without
 * snapshots, and waits until it answers.
 *
 * @throws Error if it is not installed or does not start.
 */
export async function startRedis(aof: Aof): Promise<RedisServer> {
  const version = redisVersion();
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-bench-redis-'));
  const server = spawn(PROGRAM, argsOf(port, folder, aof), { stdio: ['ignore', 'ignore', process.stderr] });
  let exitReason: string | undefined;
  server.on('error', ({ message }) => (exitReason = message));
  server.on('exit', (code, signal) => (exitReason ??= `it exited with ${code ?? signal}`));
  const stop = async () => {
    if (exitReason === undefined) {
      const exited = once(server, 'exit');
      server.kill('SIGKILL');
      await exited;
    }
    rmSync(folder, { recursive: true, force: true });
  };
  for (const start = Date.now(); !(await answers(port)); await sleep(20)) {
    if (exitReason === undefined && Date.now() - start < START_TIMEOUT_MS) continue;
    const reason = exitReason ?? `no answer within ${START_TIMEOUT_MS / 1000} s`;
    await stop();
    throw new Error(`${PROGRAM} does not start: ${reason}`);
  }
  return { url: `redis://127.0.0.1:${port}`, pid: server.pid, version, stop };
}

function argsOf(port: number, folder: string, aof: Aof): string[] {
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--daemonize', 'no'];
  const persistence = aof === 'off' ? ['--appendonly', 'no'] : ['--appendonly', 'yes', '--appendfsync', aof];
  return [...place, '--save', '', ...persistence, '--maxmemory-policy', 'noeviction', '--loglevel', 'warning'];
}

/** Whether a server on the port answers a ping. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    const settle = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.setTimeout(PING_TIMEOUT_MS, () => settle(false));
    socket.once('data', (bytes) => settle(bytes.toString('latin1').startsWith('+PONG')));
    socket.once('error', () => settle(false));
    socket.once('close', () => settle(false));
  });
}
