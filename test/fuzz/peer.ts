import { connect, type Socket } from 'node:net';

// Bytes of a server's output to keep; the rest is ignored.
const MAX_RECEIVED = 4 * 1024 * 1024;

/** A raw TCP connection. */
export class Peer {
  received = Buffer.alloc(0);
  closed = false;
  readonly #tcp: Socket;
  #wake = () => {};

  constructor(port: number) {
    this.#tcp = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    this.#tcp.setNoDelay(true);
    this.#tcp.on('data', (chunk: Buffer) => {
      if (this.received.length < MAX_RECEIVED) this.received = Buffer.concat([this.received, chunk]);
      this.#wake();
    });
    for (const event of ['error', 'end', 'close'] as const) {
      this.#tcp.on(event, () => {
        this.closed = true;
        this.#wake();
      });
    }
  }

  /** Removes the first bytes that were received. */
  take(length: number): void {
    this.received = this.received.subarray(length);
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.closed || !this.#tcp.writable) resolve();
      else this.#tcp.write(bytes, () => resolve());
    });
  }

  end(): void {
    this.#tcp.end();
  }

  destroy(): void {
    this.#tcp.destroy();
  }

  /** @returns whether the condition became true within `ms` milliseconds. */
  async until(condition: () => boolean, ms: number): Promise<boolean> {
    for (const end = Date.now() + ms; !condition(); ) {
      const remaining = end - Date.now();
      if (remaining <= 0) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, remaining);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return true;
  }
}
