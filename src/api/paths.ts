import type { HttpResponse } from '../transport/transport.ts';
import { isName, isRoom, isUser } from '../wire/wire.ts';
import { problem } from './problem.ts';
import type { AnyRoute } from './route.ts';

/** The routes of a path, and the values of its parameters. */
export interface Found {
  readonly kind: 'found';
  /** By method. */
  readonly routes: ReadonlyMap<string, AnyRoute>;
  /** The methods, as the header `Allow` lists them. */
  readonly allow: string;
  readonly params: Readonly<Record<string, string>>;
}

type Lookup = Found | { readonly kind: 'rejected'; readonly problem: HttpResponse };

interface Path {
  /** A literal, or the name of a parameter in braces. */
  readonly segments: readonly string[];
  readonly routes: Map<string, AnyRoute>;
  allow: string;
}

const PARAMETER = /^\{(\w+)\}$/;

const MAX_VALUE_BYTES = 128;

/** What a parameter may be, by its name. */
const RULES: Readonly<Record<string, { readonly accepts: (value: string) => boolean; readonly rule: string }>> = {
  room: { accepts: isRoom, rule: 'a room name has 1 to 128 bytes' },
  user: { accepts: isUser, rule: 'a user name has 1 to 64 bytes' },
};

const ANY = { accepts: (value: string) => isName(value, MAX_VALUE_BYTES), rule: 'it has 1 to 128 bytes' };

/** The paths of the routes. */
export class Paths {
  readonly #paths: Path[] = [];

  constructor(routes: readonly AnyRoute[]) {
    for (const route of routes) this.#add(route);
    // A literal is preferred to a parameter.
    this.#paths.sort((a, b) => parametersOf(a) - parametersOf(b));
  }

  /** @param path undecoded, below that of the API. */
  find(path: string): Lookup {
    const segments = path.split('/');
    const found = this.#paths.find((each) => matches(each, segments));
    if (found === undefined)
      return { kind: 'rejected', problem: problem(404, 'not-found', 'The API has no such path.') };
    const params: Record<string, string> = {};
    for (const [i, segment] of found.segments.entries()) {
      const name = PARAMETER.exec(segment)?.[1];
      if (name === undefined) continue;
      const { accepts, rule } = RULES[name] ?? ANY;
      const value = decode(segments[i] as string);
      if (value === undefined || !accepts(value)) {
        const detail = `The path's ${name} is invalid: ${rule}, percent-encoded.`;
        return { kind: 'rejected', problem: problem(400, 'invalid-path', detail, { parameter: name }) };
      }
      params[name] = value;
    }
    return { kind: 'found', routes: found.routes, allow: found.allow, params };
  }

  #add(route: AnyRoute): void {
    const { path: text, method } = route;
    let path = this.#paths.find(({ segments }) => segments.join('/') === text);
    if (path === undefined) {
      path = { segments: text.split('/'), routes: new Map(), allow: '' };
      this.#paths.push(path);
    }
    if (path.routes.has(method)) throw new Error(`two routes for ${method} ${text}`);
    path.routes.set(method, route);
    const methods = [...path.routes.keys()].flatMap((each) => (each === 'GET' ? ['GET', 'HEAD'] : [each]));
    path.allow = [...methods, 'OPTIONS'].join(', ');
  }
}

function parametersOf({ segments }: Path): number {
  return segments.filter((segment) => PARAMETER.test(segment)).length;
}

function matches({ segments }: Path, given: readonly string[]): boolean {
  if (segments.length !== given.length) return false;
  return segments.every((segment, i) => segment === given[i] || PARAMETER.test(segment));
}

/** @returns undefined for text that is not percent-encoded UTF-8. */
function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
