import type { Client } from '../client/client.ts';
import type { Socket, SocketListener } from '../transport/transport.ts';

/** The connection of a client whose messages came with its request. */
export class StreamClient implements SocketListener {
  readonly #client: Client;
  /** Released once it is open. */
  #lines: readonly string[];

  /** @param lines a client message each. */
  constructor(client: Client, lines: readonly string[]) {
    this.#client = client;
    this.#lines = lines;
  }

  /** Runs the messages as if each had come in a frame of its own. */
  open(socket: Socket): void {
    const lines = this.#lines;
    this.#lines = [];
    this.#client.open(socket);
    for (const line of lines) this.#client.message(Buffer.from(line), false);
  }

  /** A stream has no messages of its own. */
  message(): void {}

  /** Nor pongs. */
  pong(): void {}

  drain(): void {
    this.#client.drain();
  }

  close(code: number, reason: string): void {
    this.#client.close(code, reason);
  }
}
