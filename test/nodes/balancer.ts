import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * A TCP load balancer. Each connection goes to the first node in order that accepts it, and ends
 * with that node's.
 */
export class Balancer {
  readonly #server = createServer({ pauseOnConnect: true }, (client) => this.#pass(client, this.#order));
  readonly #sockets = new Set<Socket>();
  #order: readonly number[];

  private constructor(ports: readonly number[]) {
    this.#order = ports;
  }

  /** @param ports of the nodes, on 127.0.0.1. */
  static async listen(ports: readonly number[]): Promise<Balancer> {
    const balancer = new Balancer(ports);
    balancer.#server.listen(0, '127.0.0.1');
    await once(balancer.#server, 'listening');
    return balancer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Prefers a node for new connections. */
  prefer(port: number): void {
    this.#order = [port, ...this.#order.filter((other) => other !== port)];
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #pass(client: Socket, [port, ...others]: readonly number[]): void {
    if (port === undefined) return void client.destroy();
    const node = connect(port, '127.0.0.1');
    const tryOthers = () => this.#pass(client, others);
    node.once('error', tryOthers);
    node.once('connect', () => {
      node.off('error', tryOthers);
      this.#join(client, node);
      this.#join(node, client);
    });
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.pipe(to);
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}
