/** The parts of a `redis://` or `rediss://` URL that may be shown. */
export interface RedisUrl {
  /** Host and port. */
  readonly address: string;
  /** The host alone, an IPv6 address without brackets. */
  readonly host: string;
  readonly tls: boolean;
  readonly database: number;
  readonly hasPassword: boolean;
}

const DEFAULT_PORT = 6379;
const MAX_DATABASE = 99_999;
const SCHEMES = ['redis:', 'rediss:'];

/** Returns undefined for text that is not such a URL. */
export function parseRedisUrl(text: string): RedisUrl | undefined {
  const url = parse(text);
  if (!url || problemOf(url) !== undefined) return undefined;
  return {
    address: addressOf(url),
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    tls: url.protocol === 'rediss:',
    database: Number(url.pathname.slice(1)),
    hasPassword: url.password !== '',
  };
}

/** Says what is wrong with a URL. It names the host and port, but never a user or a password. */
export function redisUrlProblem(text: string): string | undefined {
  const url = parse(text);
  return url ? problemOf(url) : 'an entry is not a URL; percent-encode a password, with %2C for a comma';
}

/** Writes a URL without its user and password. */
export function withoutCredentials(text: string): string {
  const url = parseRedisUrl(text);
  if (!url) return '(set)';
  const { address, tls, database, hasPassword } = url;
  return `redis${tls ? 's' : ''}://${hasPassword ? '(set)@' : ''}${address}/${database}`;
}

/** Reports whether two URLs have the same scheme, user, password and database. */
export function connectAlike(one: string, other: string): boolean {
  const wayOf = (text: string) => {
    const { protocol, username, password, pathname } = new URL(text);
    return JSON.stringify([protocol, username, password, Number(pathname.slice(1))]);
  };
  return wayOf(one) === wayOf(other);
}

function parse(text: string): URL | undefined {
  try {
    const url = new URL(text);
    decodeURIComponent(url.username);
    decodeURIComponent(url.password);
    // A password with a bare slash, "?" or "#" is cut there: its parts look like a host and a path.
    return `${url.pathname}${url.search}${url.hash}`.includes('@') ? undefined : url;
  } catch {
    return undefined;
  }
}

function problemOf(url: URL): string | undefined {
  const { protocol, hostname, username, password, pathname, search, hash } = url;
  // Not quoted: in a text without a scheme a user may be in its place.
  if (!SCHEMES.includes(protocol)) return 'the scheme is neither redis:// nor rediss://';
  if (hostname === '') return 'an entry has no host';
  const address = addressOf(url);
  if (!/^(\/\d{0,5})?$/.test(pathname)) {
    return `the database of ${address} is not a number (0 to ${MAX_DATABASE}), as in redis://${address}/1`;
  }
  if (search !== '' || hash !== '') return `${address} has a query or a fragment, which has no meaning`;
  return username !== '' && password === '' ? `${address} has a user without a password` : undefined;
}

function addressOf({ hostname, port }: URL): string {
  return `${hostname}:${port === '' ? DEFAULT_PORT : port}`;
}
