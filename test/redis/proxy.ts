import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { ProxiedConnection } from './proxied-connection.ts';
import { type CommandMatch, type Direction, type PushMatch, Rules, type StalledRequest } from './proxy-rules.ts';

/**
 * A TCP proxy between a node and Redis. It knows RESP, so that a fault hits a whole command, reply
 * or push. It holds for all connections, present and later ones, unless a method says otherwise.
 * The node must speak RESP3 without TLS, as the engine does.
 *
 * A method that waits for a matching command starts to watch when it is called, not when its
 * promise is awaited:
 *
 *     const lost = proxy.loseReply('EVALSHA');
 *     client.send('hello');
 *     await lost;
 */
export class RedisProxy {
  /** Connections that were accepted, in total. */
  accepted = 0;
  readonly #server = createServer((client) => this.#accept(client));
  readonly #connections = new Set<ProxiedConnection>();
  readonly #rules = new Rules();
  readonly #held = { requests: false, replies: false };
  readonly #delayMs = { requests: 0, replies: 0 };
  #target: number;
  #refusing = false;

  private constructor(target: number) {
    this.#target = target;
  }

  /** Listens on a free port of 127.0.0.1. @param target the port of Redis. */
  static async listen(target: number): Promise<RedisProxy> {
    const proxy = new RedisProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The URL for `--redis`. */
  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** The number of open connections. */
  get open(): number {
    return this.#connections.size;
  }

  /** Connects later connections to another server. Present ones stay; `cut` ends them. */
  retarget(port: number): void {
    this.#target = port;
  }

  /** Delays what passes in a direction by so many milliseconds, in order. */
  delay(direction: Direction, ms: number): void {
    this.#delayMs[direction] = ms;
    for (const connection of this.#connections) connection[direction].delayMs = ms;
  }

  /** Closes all connections, and drops what has not left. The node may connect again. */
  cut(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  /** Closes all connections and rejects new ones, until `accept`. */
  refuse(): void {
    this.#refusing = true;
    this.cut();
  }

  /** Ends `refuse`. */
  accept(): void {
    this.#refusing = false;
  }

  /**
   * Stops forwarding in a direction, or in both, while TCP stays open, also when the other side
   * closes. After a mebibyte the proxy stops reading, and Redis's own output buffer grows.
   */
  hold(...directions: Direction[]): void {
    for (const direction of directions.length > 0 ? directions : (['requests', 'replies'] as const)) {
      this.#held[direction] = true;
      for (const connection of this.#connections) connection[direction].hold();
    }
  }

  /** Ends `hold` and `holdReply`: delivers what was withheld. After `cut` it is dropped instead. */
  release(...directions: Direction[]): void {
    for (const direction of directions.length > 0 ? directions : (['requests', 'replies'] as const)) {
      this.#held[direction] = false;
      for (const connection of this.#connections) connection[direction].release();
    }
  }

  /** Forwards so many further bytes of each open connection in a direction, then cuts it. */
  cutAfter(direction: Direction, bytes: number): void {
    for (const connection of this.#connections) connection[direction].cutAfter(bytes);
  }

  /**
   * Loses the reply of the next matching command: Redis executes the command, then the connection
   * is cut. With `pushes` it also loses the pushes between the reply before and this one, such as
   * those of the command itself. Since version 7.2 Redis sends those after the reply, so they are
   * lost in any case.
   *
   * @returns a promise that resolves when the connection is cut.
   */
  loseReply(match: CommandMatch, { pushes = false } = {}): Promise<void> {
    return this.#rules.add({ kind: 'loseReply', match, pushes });
  }

  /** Loses the next matching command: Redis does not get it, and the connection is cut. */
  loseRequest(match: CommandMatch): Promise<void> {
    return this.#rules.add({ kind: 'loseRequest', match });
  }

  /**
   * Holds the replies of a connection from that of the next matching command on, without cutting
   * it. `release('replies')` delivers them, `cut` drops them.
   *
   * @returns a promise that resolves when Redis has replied.
   */
  holdReply(match: CommandMatch): Promise<void> {
    return this.#rules.add({ kind: 'holdReply', match });
  }

  /**
   * Keeps the bytes from the next matching command on, cuts the client off, and leaves the
   * connection to Redis open. The client's next connections are unaffected. `deliver` has Redis
   * execute the old bytes at a later time, as a late buffer of the network would.
   */
  stall(match: CommandMatch): Promise<StalledRequest> {
    return this.#rules.stall(match);
  }

  /** Drops the next push that matches, and leaves the connection open. */
  losePush(match: PushMatch = () => true): Promise<void> {
    return this.#rules.add({ kind: 'losePush', match });
  }

  /** Closes everything. */
  close(): void {
    this.#server.close();
    this.#rules.clear();
    this.cut();
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.destroy();
      return;
    }
    this.accepted++;
    const connection = new ProxiedConnection(client, this.#target, this.#rules);
    for (const direction of ['requests', 'replies'] as const) {
      connection[direction].delayMs = this.#delayMs[direction];
      if (this.#held[direction]) connection[direction].hold();
    }
    this.#connections.add(connection);
    connection.onClose = () => this.#connections.delete(connection);
  }
}
