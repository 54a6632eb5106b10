/**
 * The style of scrollable content. Where content is wider than the page, a hint, a scroll bar and a
 * shadow at the hidden edge show that it scrolls. The scroll timeline is active only then, so that
 * the hint needs no script; browsers without scroll timelines show the hint on every narrow screen.
 */
export const scrollStyle = `
.frame{timeline-scope:--overflow}
.scroll{overflow-x:auto;scroll-timeline:--overflow inline;background:linear-gradient(to right,var(--cover) 40%,transparent) left/2.5rem 100% local,linear-gradient(to left,var(--cover) 40%,transparent) right/2.5rem 100% local,linear-gradient(to right,var(--shade),transparent) left/.9rem 100% scroll,linear-gradient(to left,var(--shade),transparent) right/.9rem 100% scroll;background-repeat:no-repeat;--cover:var(--ground)}
figure .scroll{--cover:var(--panel)}
.scroll::-webkit-scrollbar{height:.6rem}
.scroll::-webkit-scrollbar-thumb{background:var(--faint);border-radius:.3rem}
.scroll::-webkit-scrollbar-track{background:var(--line);border-radius:.3rem}
.scroll:focus-visible{outline:2px solid var(--series-0);outline-offset:2px}
.hint{margin:0;max-height:0;overflow:hidden;visibility:hidden;color:var(--faint);font-size:.8125rem;animation:linear show-hint both;animation-timeline:--overflow}
@keyframes show-hint{from,to{max-height:2rem;visibility:visible}}
@supports not (animation-timeline:scroll()){@media(max-width:75rem){.hint{max-height:2rem;visibility:visible}}}
`;

/** Wraps HTML that may be wider than the page. @param label names it for screen readers. */
export function scrollable(label: string, html: string): string {
  return `<div class="frame"><p class="hint">Scroll sideways to see all of it →</p><div class="scroll" tabindex="0" role="region" aria-label="${escaped(label)}">${html}</div></div>`;
}

export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
