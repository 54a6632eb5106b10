import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** What the proxy does to a connection, by chance. */
export interface Trouble {
  /** Milliseconds between two troubles of one connection, about. */
  readonly every: number;
}

/**
 * A TCP proxy that behaves like a bad network, once it is told to: connections stall, are cut in the middle of a frame, or stay open on one side
 * with nobody on the other.
 */
export class BadNetwork {
  readonly counts = { stalled: 0, cut: 0, halfOpen: 0 };
  readonly #target: number;
  readonly #every: number;
  readonly #server = createServer((client) => this.#pass(client));
  readonly #sockets = new Set<Socket>();
  readonly #halfOpen = new WeakSet<Socket>();
  #calm = true;

  private constructor(target: number, { every }: Trouble) {
    this.#target = target;
    this.#every = every;
  }

  static async listen(target: number, trouble: Trouble): Promise<{ network: BadNetwork; port: number }> {
    const network = new BadNetwork(target, trouble);
    network.#server.listen(0, '127.0.0.1');
    await once(network.#server, 'listening');
    return { network, port: (network.#server.address() as AddressInfo).port };
  }

  /** From now on it makes trouble. */
  spoil(): void {
    this.#calm = false;
  }

  /** From now on it makes none. */
  calm(): void {
    this.#calm = true;
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
    const trouble = () => {
      if (client.destroyed) return;
      if (!this.#calm) this.#trouble(client, server);
      setTimeout(trouble, this.#every * (0.5 + Math.random())).unref();
    };
    setTimeout(trouble, this.#every * Math.random()).unref();
  }

  #trouble(client: Socket, server: Socket): void {
    const kind = Math.random();
    if (kind < 0.5) {
      this.counts.stalled++;
      server.unpipe(client);
      setTimeout(() => server.pipe(client), 50 + Math.random() * 200).unref();
    } else if (kind < 0.85) {
      this.counts.cut++;
      server.unpipe(client);
      // A part of what comes next gets through, and then nothing.
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
