import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { decode, encodeCommand, isPush, RedisError, type Reply, RespSplitter } from './resp.ts';

interface Waiting {
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

/** A plain connection to Redis: commands in, replies out, pushes of RESP3 to a handler. */
export class RedisConnection {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  readonly #splitter = new RespSplitter();
  /** Receives the pushes, which come after `HELLO 3`. @default drops them */
  onPush: (push: Reply) => void = () => {};
  closed = false;

  /** Connects to a port on 127.0.0.1. @param tls options of a TLS connection; plain TCP without. */
  constructor(port: number, tls?: ConnectionOptions) {
    this.#socket = tls ? connectTls({ port, host: '127.0.0.1', ...tls }) : connect(port, '127.0.0.1');
    this.#socket.setNoDelay(true);
    this.#socket.on('error', () => {});
    this.#socket.on('data', (bytes) => {
      for (const value of this.#splitter.push(bytes)) this.#receive(value);
    });
    this.#socket.on('close', () => {
      this.closed = true;
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('the connection to Redis was closed'));
    });
  }

  /**
   * Sends a command. @returns its reply; rejects with a RedisError, or when the connection ends.
   */
  command(...args: readonly (string | number | Buffer)[]): Promise<Reply> {
    if (this.closed) return Promise.reject(new Error('the connection to Redis was closed'));
    this.#socket.write(encodeCommand(args));
    // The reply to a subscription is a push in RESP3 and would never come here.
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Subscribes to a channel, after `HELLO 3`. Its messages go to `onPush`. */
  subscribe(channel: string): void {
    this.#socket.write(encodeCommand(['SUBSCRIBE', channel]));
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(value: Buffer): void {
    if (isPush(value)) {
      this.onPush(decode(value));
      return;
    }
    const waiting = this.#waiting.shift();
    const reply = decode(value);
    if (reply instanceof RedisError) waiting?.reject(reply);
    else waiting?.resolve(reply);
  }
}
