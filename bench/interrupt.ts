const ends = new Set<() => Promise<void>>();

/** What must be ended when this is interrupted: a server would outlive it. @returns a function that says it has been. */
export function onInterrupt(end: () => Promise<void>): () => void {
  ends.add(end);
  return () => void ends.delete(end);
}

/** Ends what was started, and then this, when someone interrupts it. */
export function watchForInterrupts(): void {
  for (const [signal, code] of [['SIGINT', 130] as const, ['SIGTERM', 143] as const]) {
    process.once(signal, async () => {
      await Promise.allSettled([...ends].map((end) => end()));
      process.exit(code);
    });
  }
}
