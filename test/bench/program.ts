import { execFile } from 'node:child_process';

/** The outcome of a command. */
interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs the benchmark itself, without the command line of the server: `pumphouse bench` starts it
 * with the same arguments, half a second later.
 */
export function bench(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return runNode(['dist/bench/bench.js', ...args], env);
}

/** Runs `pumphouse bench`. */
export function pumphouseBench(args: readonly string[]): Promise<Ended> {
  return runNode(['dist/cli.js', 'bench', ...args]);
}

function runNode(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [...args], { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}
