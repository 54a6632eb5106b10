/** The client library of Pumphouse, for browsers and Node. */
import { HubClient } from './hub.ts';
import type { Hub, Options } from './types.ts';

export type * from './types.ts';

/**
 * Connects to a server, and reconnects when the connection is lost.
 *
 * Node 20 has no WebSocket, so the client loads the package `ws` there. If that is not installed,
 * the hub closes, and an error that names the package is reported as uncaught.
 *
 * @param url the server's URL, with the scheme `ws:`, `wss:`, `http:` or `https:`. A URL without a
 * path gets the path `/ws`. Defaults in browsers to the origin of the page; required elsewhere.
 * @throws TypeError if the URL is invalid, or if the user name is not 1 to 64 bytes.
 * @example
 * const hub = connect('http://localhost:8080', { user: 'ada' });
 * const lobby = hub.join<{ text: string }>('lobby');
 * lobby.on('message', ({ from, data }) => console.log(from, data.text));
 * await lobby.send({ text: 'hi' });
 */
export function connect(url?: string | URL, options: Options = {}): Hub {
  return new HubClient(url, options);
}
