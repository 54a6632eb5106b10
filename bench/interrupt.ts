const cleanups = new Set<() => Promise<void>>();

/**
 * Registers a cleanup to run on SIGINT and SIGTERM, such as ending a server process.
 *
 * @returns a function that removes it.
 */
export function onInterrupt(cleanup: () => Promise<void>): () => void {
  cleanups.add(cleanup);
  return () => void cleanups.delete(cleanup);
}

/** On SIGINT or SIGTERM, runs all cleanups and exits with 128 plus the number of the signal. */
export function watchForInterrupts(): void {
  for (const [signal, code] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const]) {
    process.once(signal, async () => {
      await Promise.allSettled([...cleanups].map((cleanup) => cleanup()));
      process.exit(code);
    });
  }
}
