import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';

// The benchmark is a program of its own, which a server never loads. It runs as its sources are, or as they were built.
const SOURCES = import.meta.url.endsWith('.ts');
const PROGRAM = fileURLToPath(new URL(SOURCES ? '../../bench/bench.ts' : '../bench/bench.js', import.meta.url));

/** `pumphouse bench`: loads a server and checks what its clients hear. It reads its options itself. */
export function addBenchCommand(program: Command): void {
  program
    .command('bench [args...]')
    .description('Load a server with clients, and check what they hear: pumphouse bench --help.')
    .helpOption(false)
    .allowUnknownOption()
    .action(async (args: readonly string[]) => {
      const bench = spawn(process.execPath, [...process.execArgv, PROGRAM, ...args], { stdio: 'inherit' });
      // A signal of the terminal reaches both: the benchmark ends by it, and this with it.
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => bench.kill(signal));
      const [code] = await once(bench, 'exit');
      process.exitCode = code ?? 1;
    });
}
