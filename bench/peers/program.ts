import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Started } from '../contestant.ts';
import { freePort } from '../server.ts';

const PATIENCE_MS = 10_000;

/** Starts a server that takes its port from its command or from `PORT`, and waits until it takes connections. */
export async function startProgram(command: (port: number) => readonly string[]): Promise<Started> {
  const port = await freePort();
  const [program = '', ...args] = command(port);
  const server = spawn(program, args, {
    env: { ...process.env, PORT: String(port) },
    stdio: ['ignore', process.stderr, process.stderr],
  });
  let failed: string | undefined;
  server.on('error', ({ message }) => (failed = message));
  server.on('exit', (code, signal) => (failed ??= `it ended with ${code ?? signal}`));
  for (const start = Date.now(); !(await listens(port)); await sleep(20)) {
    if (failed === undefined && Date.now() - start < PATIENCE_MS) continue;
    server.kill('SIGKILL');
    throw new Error(`${program} does not start: ${failed ?? 'it takes no connections'}`);
  }
  return {
    url: new URL(`http://127.0.0.1:${port}`),
    pid: server.pid,
    async stop() {
      if (failed !== undefined) return;
      const gone = once(server, 'exit');
      server.kill('SIGKILL');
      await gone;
    },
  };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => socket.destroy() && resolve(true));
    socket.once('error', () => resolve(false));
  });
}
