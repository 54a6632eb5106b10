// A hidden tab gets no animation frames.
const MAX_DELAY_MS = 250;

/**
 * Coalesces calls into one run of `work` per animation frame, so that updates that arrive faster
 * than the screen refreshes are drawn together.
 *
 * @returns a function that schedules the run.
 */
export function oncePerFrame(work: () => void): () => void {
  let scheduled = false;
  return () => {
    if (scheduled) return;
    scheduled = true;
    const run = () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      scheduled = false;
      work();
    };
    const frame = requestAnimationFrame(run);
    const timer = setTimeout(run, MAX_DELAY_MS);
  };
}
