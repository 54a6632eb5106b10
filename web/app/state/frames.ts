// A tab that is not looked at has no frames.
const LATEST_MS = 250;

/**
 * Makes `work` wait for the next frame, however often it is asked for until then: what comes faster than the screen is shown
 * together.
 *
 * @returns a function that asks for it.
 */
export function onFrame(work: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    const run = () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      asked = false;
      work();
    };
    const frame = requestAnimationFrame(run);
    const timer = setTimeout(run, LATEST_MS);
  };
}
