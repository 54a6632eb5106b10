import { signal } from '@preact/signals';

/** The time until a part that failed to load is requested again, in milliseconds. */
const RETRY_MS = 10_000;

/**
 * A part of the page that is loaded when it is first needed.
 *
 * @param load imports it.
 *
 * @returns a signal, which is undefined until the part is loaded, and a function that loads it.
 */
export function lazyPart<T>(load: () => Promise<T>) {
  const part = signal<T | undefined>(undefined);
  let requestedAt = Number.NEGATIVE_INFINITY;
  const request = () => {
    if (part.peek() || performance.now() - requestedAt <= RETRY_MS) return;
    requestedAt = performance.now();
    load().then(
      (loaded) => {
        part.value = loaded;
      },
      () => undefined, // offline: messages are shown without it
    );
  };
  return [part, request] as const;
}
