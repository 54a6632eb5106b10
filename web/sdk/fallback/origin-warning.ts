const warned = new Set<string>();

/** Tells the developer of a page, once, how to allow its origin. Programs have no origin. */
export function warnOfOrigin(url: string): void {
  const { origin } = globalThis;
  const { host } = new URL(url);
  const pair = `${host} ${origin}`;
  if (!origin || warned.has(pair)) return;
  warned.add(pair);
  const remedy = origin.startsWith('http') ? `start it with --origin ${origin}` : 'serve the page over http(s)';
  console.warn(`${host} does not allow pages of the origin ${origin}: ${remedy}`);
}
