/** The time until styles that failed to load are requested again, which doubles each time. */
const RETRY_MS = 1_000;

/**
 * Requests the styles of a later part again if they fail to load. Vite does not: the part would be
 * shown without them once it is loaded itself.
 */
export function retryFailedStyles(): void {
  addEventListener('vite:preloadError', (event) => {
    // Vite's message ends with the address.
    const { message } = (event as Event & { payload: Error }).payload;
    const links = document.querySelectorAll<HTMLLinkElement>('link[rel="stylesheet"]');
    const link = [...links].find(({ href }) => message.endsWith(href));
    if (link) retry(link, RETRY_MS);
  });
}

function retry(link: Element, ms: number): void {
  setTimeout(() => {
    const next = link.cloneNode() as HTMLLinkElement;
    next.onerror = () => retry(next, 2 * ms);
    link.replaceWith(next);
  }, ms);
}
