/** The client of a Pumphouse server, for browsers and Node. */
import { HubClient } from './hub.ts';
import type { Hub, Options } from './types.ts';

export type * from './types.ts';

/**
 * Connects to a server, and keeps connected.
 *
 * @param url where it is: `ws:`, `wss:`, `http:` or `https:`, the path `/ws` unless it has another; in a browser the page's own
 * server unless given.
 * @throws TypeError for a URL that is none, a user that is no name, or where there is no WebSocket.
 * @example
 * const hub = connect('http://localhost:8080', { user: 'ada' });
 * const lobby = hub.join<{ text: string }>('lobby');
 * lobby.on('message', ({ from, data }) => console.log(from, data.text));
 * await lobby.send({ text: 'hi' });
 */
export function connect(url?: string | URL, options: Options = {}): Hub {
  return new HubClient(url, options);
}
