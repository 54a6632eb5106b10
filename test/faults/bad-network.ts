import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface FaultOptions {
  /** Mean time between two faults of one connection, in milliseconds. */
  readonly everyMs: number;
}

/**
 * A TCP proxy that injects random faults while it is degraded. A connection stalls, is cut in the
 * middle of a frame, or closes toward the client while the server's side stays open.
 */
export class BadNetwork {
  readonly counts = { stalled: 0, cut: 0, halfOpen: 0 };
  readonly #target: number;
  readonly #everyMs: number;
  readonly #server = createServer((client) => this.#pass(client));
  readonly #sockets = new Set<Socket>();
  readonly #halfOpen = new WeakSet<Socket>();
  #degraded = false;

  private constructor(target: number, { everyMs }: FaultOptions) {
    this.#target = target;
    this.#everyMs = everyMs;
  }

  /** @param target the server's port on 127.0.0.1. @returns the proxy and its own port. */
  static async listen(target: number, options: FaultOptions): Promise<{ network: BadNetwork; port: number }> {
    const network = new BadNetwork(target, options);
    network.#server.listen(0, '127.0.0.1');
    await once(network.#server, 'listening');
    return { network, port: (network.#server.address() as AddressInfo).port };
  }

  /** Starts to inject faults. */
  degrade(): void {
    this.#degraded = true;
  }

  /** Stops injecting faults. */
  recover(): void {
    this.#degraded = false;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #pass(client: Socket): void {
    const server = connect(this.#target, '127.0.0.1');
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(one);
      one.pipe(other);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.#sockets.delete(one);
        if (!this.#halfOpen.has(other)) other.destroy();
      });
    }
    const tick = () => {
      if (client.destroyed) return;
      if (this.#degraded) this.#injectFault(client, server);
      setTimeout(tick, this.#everyMs * (0.5 + Math.random())).unref();
    };
    setTimeout(tick, this.#everyMs * Math.random()).unref();
  }

  #injectFault(client: Socket, server: Socket): void {
    const kind = Math.random();
    if (kind < 0.5) {
      this.counts.stalled++;
      server.unpipe(client);
      setTimeout(() => server.pipe(client), 50 + Math.random() * 200).unref();
    } else if (kind < 0.85) {
      this.counts.cut++;
      server.unpipe(client);
      // The first half of the next chunk gets through, then nothing.
      server.once('data', (chunk) => client.end(chunk.subarray(0, chunk.length >> 1)));
      setTimeout(() => client.destroy(), 20).unref();
    } else {
      this.counts.halfOpen++;
      this.#halfOpen.add(server);
      client.unpipe(server);
      server.unpipe(client);
      server.resume();
      client.destroy();
      setTimeout(() => server.destroy(), 1000).unref();
    }
  }
}
