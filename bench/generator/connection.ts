import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectSecurely } from 'node:tls';
import { closeFrame, FrameReader, pongFrame, textFrame } from './frames.ts';

/** Receives the events of a connection. A payload is valid only during the call. */
export interface ConnectionListener {
  /** Called for each message. An error that it throws ends the connection. */
  message(payload: Buffer | undefined, length: number): void;
  /**
   * Called once. The code is that of the close frame, 1005 for an empty one, 1006 without one, and
   * 1002 if the client ended the connection because of a protocol error.
   */
  closed(code: number): void;
}

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'; // RFC 6455, section 1.3
const MAX_RESPONSE_BYTES = 16_384;
const HANDSHAKE_TIMEOUT_MS = 20_000;

/** The close code of a protocol error: RFC 6455, section 7.4.1. */
const PROTOCOL_ERROR = 1002;

const warnings = new Set<string>();

/** Prints a warning once, however many clients raise it. */
function warnOnce(warning: string): void {
  if (!warnings.has(warning)) process.stderr.write(`bench: ${warning}\n`);
  warnings.add(warning);
}

// All connections read into one buffer: its contents are consumed before the next read.
const shared = Buffer.allocUnsafe(256 * 1024);

/** @param read receives bytes, which may be overwritten afterwards. */
function dial(url: URL, read: (bytes: Buffer) => void): Socket {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (url.protocol === 'https:') {
    // TLS allocates a buffer for each read anyway.
    const servername = isIP(host) ? '' : host;
    return connectSecurely({ host, port: Number(url.port || 443), servername })
      .setNoDelay()
      .on('data', read);
  }
  const callback = (size: number) => {
    read(shared.subarray(0, size));
    return true;
  };
  return connect({ host, port: Number(url.port || 80), noDelay: true, onread: { buffer: shared, callback } });
}

/** A WebSocket connection of a load. */
export class Connection {
  readonly #tcp: Socket;
  readonly #reader: FrameReader;
  readonly #listener: ConnectionListener;
  /** The response to the handshake until it is complete. */
  #response: Buffer | undefined = Buffer.alloc(0);
  #accept = '';
  #protocol: string | undefined;
  #settleHandshake: ((error?: Error) => void) | undefined;
  #closed = false;

  private constructor(url: URL, listener: ConnectionListener) {
    this.#listener = listener;
    this.#reader = new FrameReader({
      message: (payload, length) => listener.message(payload, length),
      ping: (payload) => this.#tcp.write(pongFrame(payload)),
      close: (payload) => {
        const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
        this.#tcp.end(closeFrame(code === 1005 ? 1000 : code));
        this.#end(code);
      },
    });
    this.#tcp = dial(url, (bytes) => this.#read(bytes));
    this.#tcp.on('error', (error) => this.#settleHandshake?.(error));
    this.#tcp.on('close', () => this.#end(1006));
  }

  /** Opens a connection. Rejects with the address and the reason if that fails. */
  static async open(url: URL, protocol: string | undefined, listener: ConnectionListener): Promise<Connection> {
    const connection = new Connection(url, listener);
    await connection.#handshake(url, protocol);
    return connection;
  }

  /** Whether to pass on payloads; otherwise only their length. @default true */
  set keepPayloads(keep: boolean) {
    this.#reader.keepPayloads = keep;
  }

  /** Sends messages in one write. */
  send(messages: readonly string[]): void {
    if (!this.#closed)
      this.#tcp.write(
        messages.length === 1 ? textFrame(messages[0] as string) : Buffer.concat(messages.map(textFrame)),
      );
  }

  /** Stops reading until `resume`. */
  pause(): void {
    this.#tcp.pause();
  }

  resume(): void {
    this.#tcp.resume();
  }

  /** Disconnects without a close frame. */
  disconnect(): void {
    this.#closed = true;
    this.#tcp.destroy();
  }

  /** Sends a close frame and waits until the connection has ended. */
  async close(): Promise<void> {
    if (this.#tcp.destroyed) return;
    const ended = once(this.#tcp, 'close');
    this.#closed = true;
    this.#tcp.end(closeFrame(1000));
    setTimeout(() => this.#tcp.destroy(), 2_000).unref();
    await ended;
  }

  async #handshake(url: URL, protocol: string | undefined): Promise<void> {
    const key = randomBytes(16).toString('base64');
    const timeout = setTimeout(
      () => this.#settleHandshake?.(new Error(`no response within ${HANDSHAKE_TIMEOUT_MS / 1000} s`)),
      HANDSHAKE_TIMEOUT_MS,
    );
    const lines = [
      `GET ${url.pathname}${url.search} HTTP/1.1`,
      `Host: ${url.host}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${key}`,
      ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
    ];
    this.#protocol = protocol;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#settleHandshake = (error) => (error ? reject(error) : resolve());
        this.#tcp.write(`${lines.join('\r\n')}\r\n\r\n`);
        this.#accept = createHash('sha1').update(`${key}${GUID}`).digest('base64');
      });
    } catch (error) {
      this.#tcp.destroy();
      throw new Error(`cannot connect to ${url.href}: ${(error as Error).message}`);
    } finally {
      this.#settleHandshake = undefined;
      clearTimeout(timeout);
    }
  }

  #read(bytes: Buffer): void {
    if (this.#closed) return;
    const rest = this.#response ? this.#readResponse(this.#response, bytes) : bytes;
    try {
      this.#reader.read(rest);
    } catch (error) {
      warnOnce((error as Error).message);
      this.#tcp.destroy();
      this.#end(PROTOCOL_ERROR);
    }
  }

  /** @returns the bytes after the response. */
  #readResponse(buffered: Buffer, bytes: Buffer): Buffer {
    const response = Buffer.concat([buffered, bytes]);
    const end = response.indexOf('\r\n\r\n');
    this.#response = response;
    if (end < 0 && response.length < MAX_RESPONSE_BYTES) return Buffer.alloc(0);
    const head = response.subarray(0, Math.max(end, 0)).toString('latin1');
    const status = head.split('\r\n')[0];
    if (!head.startsWith('HTTP/1.1 101 ')) {
      this.#settleHandshake?.(new Error(`the server responded with ${status || 'something other than HTTP'}`));
    } else if (!head.includes(this.#accept)) {
      this.#settleHandshake?.(new Error('the server sent a wrong Sec-WebSocket-Accept'));
    } else if (this.#protocol !== undefined && !head.includes(this.#protocol)) {
      this.#settleHandshake?.(new Error(`the server does not support the subprotocol ${this.#protocol}`));
    } else {
      this.#response = undefined;
      this.#settleHandshake?.();
      return response.subarray(end + 4);
    }
    return Buffer.alloc(0);
  }

  #end(code: number): void {
    this.#settleHandshake?.(new Error('the server closed the connection'));
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.closed(code);
  }
}
