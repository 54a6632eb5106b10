import type { WebSocketClass, WebSocketLike } from '../types.ts';
import { SUBPROTOCOL } from './socket-stream.ts';

// Milliseconds between two probes. After a WebSocket that failed, the delay doubles up to the
// maximum.
const FIRST_DELAY = 30_000;
const MAX_DELAY = 600_000;

// Milliseconds that a WebSocket may take to open.
const TIMEOUT = 5_000;

/**
 * Looks for a WebSocket while the connection is over HTTP. It opens one without the session: a
 * WebSocket of the session would end the stream, even if its answer never reached the client.
 */
export class Probe {
  readonly #WebSocket: WebSocketClass;
  readonly #url: string;
  readonly #onFound: () => void;
  #delay = FIRST_DELAY;
  #socket: WebSocketLike | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  /** @param onFound called when a WebSocket has opened. The probe goes on until it is stopped. */
  constructor(WebSocket: WebSocketClass, url: string, onFound: () => void) {
    this.#WebSocket = WebSocket;
    this.#url = url;
    this.#onFound = onFound;
  }

  /** Probes after the delay, and again and again. */
  start(): void {
    if (!this.#stopped && !this.#socket) this.#schedule(this.#delay, () => this.run());
  }

  /** Probes now, unless a probe runs. */
  run(): void {
    if (this.#stopped || this.#socket) return;
    const socket = new this.#WebSocket(this.#url, [SUBPROTOCOL]);
    this.#socket = socket;
    const finish = (found: boolean) => {
      if (socket !== this.#socket) return;
      this.#socket = undefined;
      socket.close();
      this.start();
      if (found) this.#onFound();
    };
    socket.onopen = () => finish(true);
    socket.onclose = () => finish(false);
    socket.onmessage = () => {};
    socket.onerror = () => {};
    this.#schedule(TIMEOUT, () => finish(false));
  }

  slowDown(): void {
    this.#delay = Math.min(2 * this.#delay, MAX_DELAY);
    this.start();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#socket = undefined;
  }

  #schedule(ms: number, run: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(run, ms);
  }
}
