import type { Load } from './load.ts';
import { progressLine } from './report/text.ts';
import type { LoadResult } from './result.ts';
import type { Doing } from './run.ts';

/** Runs a load and shows on a terminal how it goes. */
export async function watch(load: Load, doing: () => Doing): Promise<LoadResult> {
  if (!process.stderr.isTTY) return load.run();
  let before = 0;
  const timer = setInterval(async () => {
    const progress = await load.progress();
    if (!progress) return;
    process.stderr.write(`\r\x1b[K${progressLine(progress, progress.deliveries - before, doing())}`);
    before = progress.deliveries;
  }, 1000);
  try {
    return await load.run();
  } finally {
    clearInterval(timer);
    process.stderr.write('\r\x1b[K');
  }
}
