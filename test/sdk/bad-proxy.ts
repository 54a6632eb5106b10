import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** What a proxy does with the handshakes of WebSockets. */
export type Upgrades = 'pass' | 'refuse' | 'swallow';

/** A proxy before a server on this machine that tests make as bad as real ones are. */
export class BadProxy {
  upgrades: Upgrades;
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((client) => this.#accept(client));

  private constructor(port: number, upgrades: Upgrades) {
    this.#port = port;
    this.upgrades = upgrades;
  }

  /** Starts a proxy, which is stopped when the test ends. */
  static async start(port: number, upgrades: Upgrades): Promise<BadProxy> {
    const proxy = new BadProxy(port, upgrades);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    onTestFinished(() => {
      proxy.#server.close();
      proxy.cut();
    });
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Cuts every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(client: Socket): void {
    this.#track(client);
    client.once('data', (first) => {
      const isUpgrade = /^upgrade: *websocket/im.test(first.toString('latin1'));
      if (isUpgrade && this.upgrades === 'swallow') return;
      if (isUpgrade && this.upgrades === 'refuse') {
        client.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
        return;
      }
      const server = connect(this.#port, '127.0.0.1');
      this.#track(server);
      server.write(first);
      client.pipe(server);
      server.pipe(client);
      client.on('close', () => server.destroy());
      server.on('close', () => client.destroy());
    });
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
  }
}
