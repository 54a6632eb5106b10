import { isIP } from 'node:net';

/** The public address that clients connect to. */
export interface Target {
  readonly secure: boolean;
  /** A name or an address, without brackets. */
  readonly hostname: string;
  readonly port: number;
  /** The origin of the pages that are served there. */
  readonly origin: string;
  /** The endpoint of WebSockets. */
  readonly wsUrl: string;
  /** The folder below which the HTTP side is served, with a slash at its end. */
  readonly httpUrl: string;
}

type ParsedTarget =
  | { readonly kind: 'target'; readonly target: Target }
  | { readonly kind: 'invalid'; readonly reason: string };

/** Parses the URL of a page or of a WebSocket endpoint. Without a path the endpoint is `/ws`. */
export function parseTarget(text: string): ParsedTarget {
  if (!/^(https?|wss?):\/\//i.test(text)) return invalid('does not start with https://, http://, wss:// or ws://');
  if (!URL.canParse(text)) return invalid('has no valid host or port');
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return invalid('has a user name or a password');
  if (url.search !== '' || url.hash !== '') return invalid('has a query: a token is given with --token');
  if (url.port === '0') return invalid('has the port 0');
  const secure = url.protocol === 'https:' || url.protocol === 'wss:';
  if (url.pathname === '/') url.pathname = '/ws';
  const [http, ws] = secure ? ['https', 'wss'] : ['http', 'ws'];
  // As the client library does: the HTTP side is beside the endpoint.
  const folder = url.pathname.replace(/[^/]*$/, '');
  const target: Target = {
    secure,
    hostname: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(url.port) || (secure ? 443 : 80),
    origin: `${http}://${url.host}`,
    wsUrl: `${ws}://${url.host}${url.pathname}`,
    httpUrl: `${http}://${url.host}${folder}`,
  };
  return { kind: 'target', target };
}

/** Returns the name that TLS asks for; undefined for an address, which has none. */
export function serverNameOf({ hostname }: Target): string | undefined {
  return isIP(hostname) > 0 ? undefined : hostname;
}

function invalid(reason: string): ParsedTarget {
  return { kind: 'invalid', reason };
}
