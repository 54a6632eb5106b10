import type { WebSocketClass, WebSocketLike } from '../types.ts';
import type { StreamEnd } from './event-stream.ts';

/** That of `src/protocol/v1.ts`. An import would move it to a file of its own. */
export const SUBPROTOCOL = 'pumphouse.v1';

interface SocketListener {
  onLine(line: string): void;
  onEnd(end: StreamEnd): void;
}

/** A WebSocket that takes over the session of a connection over HTTP. */
export class SocketStream {
  readonly #socket: WebSocketLike;
  /** Whether the WebSocket has opened. */
  opened = false;
  #closed = false;

  constructor(
    WebSocket: WebSocketClass,
    url: string,
    secret: string | undefined,
    token: string | undefined,
    listener: SocketListener,
  ) {
    this.#socket = new WebSocket(url, secret === undefined ? [SUBPROTOCOL] : [SUBPROTOCOL, `resume.${secret}`]);
    this.#socket.onopen = () => {
      this.opened = true;
      if (token !== undefined) this.send(JSON.stringify({ t: 'auth', token }));
    };
    this.#socket.onmessage = ({ data }: { data: unknown }) => {
      for (const line of String(data).split('\n')) if (!this.#closed) listener.onLine(line);
    };
    this.#socket.onclose = ({ code, reason }: StreamEnd) => {
      if (!this.#closed) listener.onEnd({ code, reason });
    };
    this.#socket.onerror = () => {}; // a close event follows
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  close(): void {
    this.#closed = true;
    this.#socket.close();
  }
}
