import type { MessageEntry } from '../state/timeline.ts';
import { lazyPart } from './lazy-part.ts';

const [part, load] = lazyPart(() => import('./message-extras.tsx'));

/** The parts of a message that most do not have, once they are loaded. */
export const extras = part;

/** Whether a message has such parts: a quote, reactions, or changes that the log does not have. */
export function hasExtras({ reply, reactions, unsaved, rejected }: MessageEntry): boolean {
  return reply !== undefined || (reactions?.length ?? 0) > 0 || unsaved !== undefined || rejected !== undefined;
}

/** Loads the parts, unless they are loaded. The log renders its rows again then. */
export function loadExtras() {
  load();
  return extras.peek();
}
