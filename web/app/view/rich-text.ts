import { lazyPart } from './lazy-part.ts';

// Matches what could be Markdown. Other messages never load its renderer.
const SYNTAX = /(?:^|\W)(?:\*|_|~~)\S|`|\]\(|^ {0,3}(?:>+ |[-*+] |\d{1,9}[.)] )/m;

const [part, load] = lazyPart(() => import('./markdown.tsx'));

/** The renderer of Markdown; undefined until it is loaded. */
export const renderer = part;

/**
 * Returns the renderer for a text; undefined if the text has no Markdown, or until the renderer is
 * loaded. The log renders its rows again then: it keeps their place on the screen.
 *
 * @param ready whether the log has found the renderer loaded.
 */
export function rendererFor(text: string, ready: boolean) {
  if (!hasMarkdown(text)) return undefined;
  load();
  return ready ? renderer.peek()?.Markdown : undefined;
}

export function hasMarkdown(text: string): boolean {
  return SYNTAX.test(text);
}
