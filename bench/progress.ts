import type { Load } from './load.ts';
import { progressLine } from './report/text.ts';
import type { LoadResult } from './result.ts';
import type { RunStatus } from './run.ts';

/** Runs a load. On a terminal, shows one line of progress each second. */
export async function runWithProgress(load: Load, status: () => RunStatus): Promise<LoadResult> {
  if (!process.stderr.isTTY) return load.run();
  let previous = 0;
  const timer = setInterval(async () => {
    const progress = await load.progress();
    if (!progress) return;
    process.stderr.write(`\r\x1b[K${progressLine(progress, progress.deliveries - previous, status())}`);
    previous = progress.deliveries;
  }, 1000);
  try {
    return await load.run();
  } finally {
    clearInterval(timer);
    process.stderr.write('\r\x1b[K');
  }
}
