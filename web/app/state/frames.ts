// A tab that is not looked at has no frames.
const HIDDEN_MS = 250;

/**
 * Makes `work` wait for the next frame, however often it is asked for until then: what comes faster than the screen is shown
 * together.
 *
 * @returns a function that asks for it.
 */
export function onFrame(work: () => void): () => void {
  let asked = false;
  const run = () => {
    asked = false;
    work();
  };
  return () => {
    if (asked) return;
    asked = true;
    if (document.hidden) setTimeout(run, HIDDEN_MS);
    else requestAnimationFrame(run);
  };
}
