import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';

/** The method of a response that this file calls. */
interface Corkable {
  cork(work: () => void): unknown;
}

/** The parts of uWebSockets.js that this file calls. `Listening` is its listen socket. */
export interface CorkLibrary<Listening> {
  App(): CorkApp<Listening>;
  us_socket_local_port(socket: Listening): number;
  us_listen_socket_close(socket: Listening): void;
}

interface CorkApp<Listening> {
  get(path: string, handler: (res: Corkable & { onAborted(handler: () => void): unknown }) => void): unknown;
  listen(host: string, port: number, callback: (socket: Listening | false) => void): unknown;
  close(): unknown;
}

/**
 * A cork that is not that of the response which is written. uWebSockets.js writes a warning to
 * standard error for a late upgrade outside of any cork, and reads freed memory after one within
 * its own. So late upgrades run within the cork of a response that is never answered: one to a
 * request of this process, over the loopback interface.
 */
export class SpareCork<Listening> {
  readonly #uws: CorkLibrary<Listening>;
  #app: CorkApp<Listening> | undefined;
  #response: Corkable | undefined;
  #isClosed = false;

  constructor(uws: CorkLibrary<Listening>) {
    this.#uws = uws;
  }

  /** Resolves when there is a response, or cannot be one. */
  async open(): Promise<void> {
    if (this.#response || this.#isClosed) return;
    const app = this.#uws.App();
    this.#app = app;
    await new Promise<void>((resolve) => {
      const path = `/${randomUUID()}`;
      app.get(path, (response) => {
        response.onAborted(() => {
          this.#response = undefined;
        });
        this.#response = response;
        resolve();
      });
      app.listen('127.0.0.1', 0, (listening) => {
        if (listening === false) resolve();
        else this.#request(path, listening, resolve);
      });
    });
  }

  /** Runs the work at once, also where there is no response. */
  cork(work: () => void): void {
    if (this.#response) this.#response.cork(work);
    else work();
  }

  close(): void {
    this.#isClosed = true;
    this.#response = undefined;
    this.#app?.close();
    this.#app = undefined;
  }

  /** Sends the only request. @param onClose is called when its connection is closed. */
  #request(path: string, listening: Listening, onClose: () => void): void {
    const socket = connect(this.#uws.us_socket_local_port(listening), '127.0.0.1').unref();
    socket.once('connect', () => this.#uws.us_listen_socket_close(listening));
    socket.on('error', () => {}).once('close', onClose);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  }
}
