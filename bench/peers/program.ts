import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerNode } from '../contestant.ts';
import { freePort } from '../free-port.ts';

const START_TIMEOUT_MS = 10_000;

/**
 * Starts a server that takes its port from its command or from `PORT`, and waits until it accepts
 * connections.
 *
 * @param environment variables in addition to those of this process.
 */
export async function startProgram(
  command: (port: number) => readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<ServerNode> {
  const port = await freePort();
  const [program = '', ...args] = command(port);
  const server = spawn(program, args, {
    env: { ...process.env, ...environment, PORT: String(port) },
    stdio: ['ignore', process.stderr, process.stderr],
  });
  let exitReason: string | undefined;
  server.on('error', ({ message }) => (exitReason = message));
  server.on('exit', (code, signal) => (exitReason ??= `it exited with ${code ?? signal}`));
  for (const start = Date.now(); !(await isListening(port)); await sleep(20)) {
    if (exitReason === undefined && Date.now() - start < START_TIMEOUT_MS) continue;
    server.kill('SIGKILL');
    throw new Error(`${program} does not start: ${exitReason ?? `no connection within ${START_TIMEOUT_MS / 1000} s`}`);
  }
  return {
    url: new URL(`http://127.0.0.1:${port}`),
    pid: server.pid,
    async stop() {
      if (exitReason !== undefined) return;
      const exited = once(server, 'exit');
      server.kill('SIGKILL');
      await exited;
    },
  };
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => socket.destroy() && resolve(true));
    socket.once('error', () => resolve(false));
  });
}
