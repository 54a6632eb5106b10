import { fork } from 'node:child_process';
import { once } from 'node:events';

/** The end of a process by a signal. */
export interface Crash {
  readonly signal: NodeJS.Signals;
  /** The last message that the process has sent. */
  readonly message: unknown;
}

/**
 * Runs the command again in a process of its own, with the same output: LMDB ends the process that
 * reads a damaged file. Sets the exit code, and passes signals on.
 *
 * @returns how the process crashed; undefined if it has exited by itself.
 */
export async function runAgain(): Promise<Crash | undefined> {
  const [, script = '', ...args] = process.argv;
  const child = fork(script, args, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  let message: unknown;
  child.on('message', (sent) => {
    message = sent;
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  if (signal !== null) return { signal, message };
  process.exitCode = code ?? 1;
  return undefined;
}

/** Reports whether this process was started by `runAgain`. */
export function isRunAgain(): boolean {
  return process.send !== undefined;
}

/**
 * Runs a job that ends early, and then sets the exit code, when a signal comes or when the process
 * that has started this one is killed.
 */
export async function runJob(job: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const end = (code: number) => {
    process.exitCode = code;
    controller.abort();
  };
  process
    .on('SIGINT', () => end(130))
    .on('SIGTERM', () => end(143))
    .on('disconnect', () => end(1));
  try {
    await job(controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
  } finally {
    process.removeAllListeners('disconnect');
    if (process.connected) process.disconnect();
  }
}
