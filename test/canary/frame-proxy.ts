import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import WebSocket, { WebSocketServer } from 'ws';

/** Decides what becomes of a message of the server: it calls `send`, later, twice, or not. */
type Rule = (send: () => void) => void;

/** Forwards every message at once. */
export const forward: Rule = (send) => send();

/** A proxy between clients and a server that drops, repeats and delays messages. */
export class FrameProxy {
  rule: Rule = forward;
  /** Whether what clients send is dropped. */
  isDeaf = false;
  readonly #server = new WebSocketServer({ host: '127.0.0.1', port: 0 });

  /** @param port of the server. */
  constructor(port: number) {
    this.#server.on('connection', (client, { headers, url }) => {
      const { authorization = '' } = headers;
      const protocols = String(headers['sec-websocket-protocol']).split(/, */);
      const server = new WebSocket(`ws://127.0.0.1:${port}${url}`, protocols, { headers: { authorization } });
      const opened = once(server, 'open').catch(() => {});
      client.on('message', (data) => this.isDeaf || void opened.then(() => server.send(String(data))));
      server.on('message', (data) => {
        for (const line of String(data).split('\n')) this.#forward(line, client);
      });
      client.on('close', () => server.close());
      server.on('close', () => client.close());
      server.on('error', () => client.close());
    });
  }

  async url(): Promise<string> {
    if (this.#server.address() === null) await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Cuts all connections. */
  cut(): void {
    for (const client of this.#server.clients) client.terminate();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #forward(line: string, client: WebSocket): void {
    const { t } = JSON.parse(line) as { t: string };
    const send = () => client.send(line);
    if (t === 'message') this.rule(send);
    else send();
  }
}
