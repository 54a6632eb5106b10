import { Server } from 'node:http';
import { Server as SecureServer } from 'node:https';
import { ConfigError } from '../config/error.ts';
import type { HttpServer } from '../transport/ws-attach.ts';

/** Options of `createServer` that the program's own server decides. */
const EXCLUDED = ['host', 'port', 'tlsCert', 'tlsKey', 'listeners'];

/**
 * Checks that a program's server can be attached to.
 *
 * @param options the other options.
 * @throws ConfigError for a value that is not an HTTP server, and for an option that it excludes.
 */
export function checkAttachable(server: unknown, options: Readonly<Record<string, unknown>>): void {
  if (!(server instanceof Server || server instanceof SecureServer)) {
    throw new ConfigError('server: is not an http.Server or https.Server, such as that of http.createServer(app)');
  }
  const excluded = EXCLUDED.find((name) => options[name] !== undefined);
  if (excluded) throw new ConfigError(`${excluded} and server exclude each other; configure ${excluded} on the server`);
  if (options['transport'] === 'uws') {
    throw new ConfigError('transport: "uws" cannot attach to a server of Node; use ws or remove server');
  }
  if (options['canary'] && options['canaryUrl'] === undefined) {
    throw new ConfigError("canary: its clients need the URL of the program's server; set canaryUrl");
  }
}

/** Returns the port of a server; undefined until it listens, and on a Unix socket. */
export function portOf(server: HttpServer): number | undefined {
  const address = server.address();
  return typeof address === 'object' ? address?.port : undefined;
}

const ANY_ADDRESS: readonly string[] = ['::', '0.0.0.0'];

/** Returns the URL of a server; undefined until it listens, and on a Unix socket. */
export function urlOfServer(server: HttpServer): string | undefined {
  const address = server.address();
  if (address === null || typeof address === 'string') return undefined;
  const host = ANY_ADDRESS.includes(address.address) ? 'localhost' : formatHost(address.address);
  return `http${server instanceof SecureServer ? 's' : ''}://${host}:${address.port}`;
}

/** Writes a host as URLs do: an IPv6 address in brackets. */
export function formatHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
