import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { built } from '../server.ts';

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A parsed line of the log. */
export type Line = Record<string, unknown>;

/** A running command. */
export class Running {
  readonly process: ChildProcess;
  readonly ended: Promise<Ran>;
  readonly #lines: Line[] = [];
  /** The length of the output that `#lines` has. */
  #parsed = 0;
  #stdout = '';
  #stderr = '';

  /** @param program the arguments of Node before `args`. @default the built command */
  constructor(args: readonly string[], env: Record<string, string> = {}, program = built) {
    const child = spawn(process.execPath, [...program, ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.on('data', (data) => {
      this.#stdout += data;
    });
    child.stderr.on('data', (data) => {
      this.#stderr += data;
    });
    this.process = child;
    this.ended = once(child, 'close').then(([code]) => ({ code, stdout: this.#stdout, stderr: this.#stderr }));
  }

  /** The lines logged so far. */
  get log(): Line[] {
    // Tests poll it, so each line is parsed once.
    const end = this.#stdout.lastIndexOf('\n') + 1;
    if (end > this.#parsed) {
      const lines = this.#stdout.slice(this.#parsed, end - 1).split('\n');
      this.#lines.push(...lines.map((line) => JSON.parse(line) as Line));
      this.#parsed = end;
    }
    return [...this.#lines];
  }

  /**
   * Waits for a line that contains `message`.
   * @throws when the command ends or `ms` pass without it.
   */
  async line(message: string, ms = 10_000): Promise<Line> {
    for (const end = Date.now() + ms; Date.now() < end; ) {
      const match = this.log.find(({ msg }) => String(msg).includes(message));
      if (match) return match;
      if (this.process.exitCode !== null) break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`no "${message}" in the log:\n${this.#stdout}${this.#stderr}`);
  }

  /** Sends the signal and waits for the exit. */
  end(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ran> {
    this.process.kill(signal);
    return this.ended;
  }
}

/** Runs the command until it exits. */
export function run(args: readonly string[], env?: Record<string, string>): Promise<Ran> {
  return new Running(args, env).ended;
}

/** Starts a server on a free port, and waits until it listens. */
export async function serving(args: readonly string[] = [], env?: Record<string, string>) {
  const running = new Running(['serve', '--port', '0', '--engine', 'memory', '--public-metrics', 'on', ...args], env);
  const { msg } = await running.line('serves http');
  const url = /https?:\S+/.exec(String(msg))?.[0] as string;
  return { running, url, port: Number(new URL(url).port) };
}
