import { signal } from '@preact/signals';

// Matches what could be Markdown. Other messages never load its renderer.
const SYNTAX = /(?:^|\W)(?:\*|_|~~)\S|`|\]\(|^ {0,3}(?:>+ |[-*+] |\d{1,9}[.)] )/m;
/** The time until a renderer that failed to load is requested again, in milliseconds. */
const RETRY_MS = 10_000;

type Renderer = typeof import('./markdown.tsx').Markdown;

/** The renderer of Markdown; undefined until it is loaded. */
export const renderer = signal<Renderer | undefined>(undefined);
let requestedAt = Number.NEGATIVE_INFINITY;

/**
 * Returns the renderer for a text; undefined if the text has no Markdown, or until the renderer is
 * loaded. The log renders its rows again then: it keeps their place on the screen.
 *
 * @param ready whether the log has found the renderer loaded.
 */
export function rendererFor(text: string, ready: boolean): Renderer | undefined {
  if (!hasMarkdown(text)) return undefined;
  const loaded = ready ? renderer.peek() : undefined;
  if (!loaded && performance.now() - requestedAt > RETRY_MS) {
    requestedAt = performance.now();
    import('./markdown.tsx').then(
      ({ Markdown }) => {
        renderer.value = Markdown;
      },
      () => undefined, // offline: the text stays as it was typed
    );
  }
  return loaded;
}

export function hasMarkdown(text: string): boolean {
  return SYNTAX.test(text);
}
