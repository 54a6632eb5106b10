import { CommanderError } from 'commander';
import { Load, type LoadResult } from './load.ts';
import { type BenchOptions, parseOptions } from './options.ts';
import { notices, progressLine, ratesOf, report, sound } from './report.ts';
import { startServer } from './server.ts';

const UNSOUND = 1;
const USAGE = 2;

try {
  const options = parseOptions(process.argv.slice(2));
  const result = await run(options);
  const rates = ratesOf(result, options.clients + options.slow);
  const { json, ...asked } = options;
  if (json) console.log(JSON.stringify({ options: asked, ...rates, ...result, notices: notices(result, rates) }));
  else console.log(report(options, result, rates));
  process.exitCode = sound(result) ? 0 : UNSOUND;
} catch (error) {
  if (!(error instanceof CommanderError)) fail((error as Error).message, UNSOUND);
  else if (error.exitCode !== 0) fail(error.message.replace(/^error: /, ''), USAGE);
}

/** Loads the server that is named, or one that it starts and ends itself. */
async function run(options: BenchOptions): Promise<LoadResult> {
  if (options.url) return watch(new Load({ ...options, url: options.url }));
  const server = await startServer(['--publish-rate', 'off', '--transport', options.transport, '--log-level', 'error']);
  try {
    return await watch(new Load({ ...options, url: new URL('/ws', server.url) }));
  } finally {
    await server.kill();
  }
}

/** Shows on a terminal how it goes. */
async function watch(load: Load): Promise<LoadResult> {
  if (!process.stderr.isTTY) return load.run();
  let before = 0;
  const timer = setInterval(() => {
    const { progress } = load;
    process.stderr.write(`\r\x1b[K${progressLine(progress, progress.deliveries - before)}`);
    before = progress.deliveries;
  }, 1000);
  try {
    return await load.run();
  } finally {
    clearInterval(timer);
    process.stderr.write('\r\x1b[K');
  }
}

function fail(line: string, code: number): void {
  process.stderr.write(`bench: ${line}\n`);
  process.exitCode = code;
}
