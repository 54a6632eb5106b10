import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { waitUntil } from '../redis/wait.ts';

const START_MS = 20_000;
const LOG_LENGTH = 20_000;
const running = new Set<ChildProcess>();

// A test run that is interrupted leaves no process behind.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A program that serves until it is stopped. */
export class ProgramProcess {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /**
   * Starts a program, and waits until it serves. Rejects with its output if it exits first.
   *
   * @param serves reports whether it serves; a rejection counts as false.
   */
  static async start(
    path: string,
    args: readonly string[],
    serves: () => Promise<boolean>,
    env: Readonly<Record<string, string>> = {},
  ): Promise<ProgramProcess> {
    const child = spawn(path, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    child.once('exit', () => running.delete(child));
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text) => {
        output = (output + text).slice(-LOG_LENGTH);
      });
    }
    const program = new ProgramProcess(child);
    const started = async () => !program.#running || (await serves());
    try {
      await waitUntil(`${path} serves`, started, START_MS);
      if (!program.#running) throw new Error(`${path} exited at its start`);
    } catch (error) {
      await program.stop();
      throw new Error(`${(error as Error).message}:\n${output}`);
    }
    return program;
  }

  async stop(): Promise<void> {
    if (!this.#running) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  get #running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }
}
