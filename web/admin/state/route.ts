import { signal } from '@preact/signals';

/** What the page shows. The hash of its address says so. */
export type Route =
  | { readonly kind: 'work' }
  | { readonly kind: 'session'; readonly id: string }
  | { readonly kind: 'user'; readonly name: string };

/** Returns the route of a hash. A hash that names nothing leads to the Hub at work. */
export function parseRoute(hash: string): Route {
  const [, kind, encoded = ''] = /^#\/(session|user)\/([^/]+)$/.exec(hash) ?? [];
  const name = decode(encoded);
  if (name === '') return { kind: 'work' };
  if (kind === 'session') return { kind, id: name };
  return kind === 'user' ? { kind, name } : { kind: 'work' };
}

/** Returns the hash of a route. */
export function hashOf(route: Route): string {
  if (route.kind === 'session') return `#/session/${encode(route.id)}`;
  return route.kind === 'user' ? `#/user/${encode(route.name)}` : '#/';
}

const SESSION_ID = /^(?:[\w-]{16}|\d{1,15})$/;

/**
 * Returns the route of what an operator looks for: a session if it looks like the id of one, or
 * else a user. The page links to the other one.
 */
export function routeOfTerm(term: string): Route {
  const name = term.trim();
  if (name === '') return { kind: 'work' };
  return SESSION_ID.test(name) ? { kind: 'session', id: name } : { kind: 'user', name };
}

/** Half of a surrogate pair cannot be encoded. */
function encode(name: string): string {
  return encodeURIComponent(name.replaceAll(/\p{Surrogate}/gu, '\ufffd'));
}

function decode(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return '';
  }
}

/** The route of the address. */
export const route = signal<Route>({ kind: 'work' });

/** Follows the address from now on. */
export function followAddress(): void {
  const follow = () => {
    route.value = parseRoute(location.hash);
  };
  addEventListener('hashchange', follow);
  follow();
}

export function open(next: Route): void {
  location.hash = hashOf(next);
}
