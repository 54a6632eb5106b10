import { signal } from '@preact/signals';
import type { MessageEntry } from '../state/timeline.ts';

/** The time until parts that failed to load are requested again, in milliseconds. */
const RETRY_MS = 10_000;

type Extras = typeof import('./message-extras.tsx');

/** The parts of a message that most do not have, once they are loaded. */
export const extras = signal<Extras | undefined>(undefined);
let requestedAt = Number.NEGATIVE_INFINITY;

/** Whether a message has such parts: a quote, reactions, or changes that the log does not have. */
export function hasExtras({ reply, reactions, unsaved, rejected }: MessageEntry): boolean {
  return reply !== undefined || (reactions?.length ?? 0) > 0 || unsaved !== undefined || rejected !== undefined;
}

/** Loads the parts, unless they are loaded. The log renders its rows again then. */
export function loadExtras(): Extras | undefined {
  const loaded = extras.peek();
  if (!loaded && performance.now() - requestedAt > RETRY_MS) {
    requestedAt = performance.now();
    import('./message-extras.tsx').then(
      (module) => {
        extras.value = module;
      },
      () => undefined, // offline: the text is shown without them
    );
  }
  return loaded;
}
