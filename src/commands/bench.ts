import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';

// The benchmark is a separate program, so that a server never loads it.
const FROM_SOURCE = import.meta.url.endsWith('.ts');
const PROGRAM = fileURLToPath(new URL(FROM_SOURCE ? '../../bench/bench.ts' : '../bench/bench.js', import.meta.url));

/** `pumphouse bench`: runs the benchmark, which parses its own options. */
export function addBenchCommand(program: Command): void {
  program
    .command('bench [args...]')
    .description('Measure a server and verify every delivery: pumphouse bench --help.')
    .helpOption(false)
    .allowUnknownOption()
    .action(async (args: readonly string[]) => {
      const bench = spawn(process.execPath, [...process.execArgv, PROGRAM, ...args], { stdio: 'inherit' });
      // Keeps this process alive until the benchmark has handled the signal.
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => bench.kill(signal));
      const [code] = await once(bench, 'exit');
      process.exitCode = code ?? 1;
    });
}
