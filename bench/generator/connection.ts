import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { connect as connectSecurely } from 'node:tls';
import { closeFrame, FrameReader, pongFrame, textFrame } from './frames.ts';

/** What a connection tells. A payload lives only during the call. */
export interface ConnectionListener {
  /** What this throws ends the connection. */
  message(payload: Buffer | undefined, length: number): void;
  /** Once. 1005: an empty close frame; 1006: none; 1002: it ended the connection itself, for what it heard. */
  closed(code: number): void;
}

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'; // RFC 6455, 1.3
const LONGEST_ANSWER = 16_384;
const HANDSHAKE_MS = 20_000;

/** The code that a client would close with that hears what no WebSocket may say: RFC 6455, 7.4.1. */
const PROTOCOL_ERROR = 1002;

const told = new Set<string>();

/** Once, however many clients find the same. */
function tell(what: string): void {
  if (!told.has(what)) process.stderr.write(`bench: ${what}\n`);
  told.add(what);
}

// All connections read into one buffer, one after the other: what it holds is used up before the next one reads.
const shared = Buffer.allocUnsafe(256 * 1024);

/** @param read takes what comes, which may be overwritten afterwards. */
function dial(url: URL, read: (bytes: Buffer) => void): Socket {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (url.protocol === 'https:') {
    // Through TLS each read has a buffer of its own anyway.
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

/** One of the load's WebSocket connections. */
export class Connection {
  readonly #tcp: Socket;
  readonly #reader: FrameReader;
  readonly #listener: ConnectionListener;
  /** The answer to the handshake, until it is whole. */
  #answer: Buffer | undefined = Buffer.alloc(0);
  #accept = '';
  #protocol: string | undefined;
  #shaken: ((error?: Error) => void) | undefined;
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
    this.#tcp.on('error', (error) => this.#shaken?.(error));
    this.#tcp.on('close', () => this.#end(1006));
  }

  /** Opens a connection. Rejects with one clear line where there is none to be had. */
  static async open(url: URL, protocol: string | undefined, listener: ConnectionListener): Promise<Connection> {
    const connection = new Connection(url, listener);
    await connection.#handshake(url, protocol);
    return connection;
  }

  /** Whether messages are handed over; otherwise only their length. It begins so. */
  set whole(whole: boolean) {
    this.#reader.whole = whole;
  }

  /** Sends some messages in one write. */
  send(messages: readonly string[]): void {
    if (!this.#closed)
      this.#tcp.write(
        messages.length === 1 ? textFrame(messages[0] as string) : Buffer.concat(messages.map(textFrame)),
      );
  }

  /** Stops to read, until `resume`. */
  pause(): void {
    this.#tcp.pause();
  }

  resume(): void {
    this.#tcp.resume();
  }

  /** Ends it without a goodbye. */
  cut(): void {
    this.#closed = true;
    this.#tcp.destroy();
  }

  /** Says goodbye and waits until the connection is gone. */
  async close(): Promise<void> {
    if (this.#tcp.destroyed) return;
    const gone = once(this.#tcp, 'close');
    this.#closed = true;
    this.#tcp.end(closeFrame(1000));
    setTimeout(() => this.#tcp.destroy(), 2_000).unref();
    await gone;
  }

  async #handshake(url: URL, protocol: string | undefined): Promise<void> {
    const key = randomBytes(16).toString('base64');
    const timeout = setTimeout(() => this.#shaken?.(new Error('it does not answer')), HANDSHAKE_MS);
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
        this.#shaken = (error) => (error ? reject(error) : resolve());
        this.#tcp.write(`${lines.join('\r\n')}\r\n\r\n`);
        this.#accept = createHash('sha1').update(`${key}${GUID}`).digest('base64');
      });
    } catch (error) {
      this.#tcp.destroy();
      throw new Error(`cannot connect to ${url.href}: ${(error as Error).message}`);
    } finally {
      this.#shaken = undefined;
      clearTimeout(timeout);
    }
  }

  #read(bytes: Buffer): void {
    if (this.#closed) return;
    const rest = this.#answer ? this.#readAnswer(this.#answer, bytes) : bytes;
    try {
      this.#reader.read(rest);
    } catch (error) {
      tell((error as Error).message);
      this.#tcp.destroy();
      this.#end(PROTOCOL_ERROR);
    }
  }

  /** @returns what follows the answer to the handshake. */
  #readAnswer(had: Buffer, bytes: Buffer): Buffer {
    const answer = Buffer.concat([had, bytes]);
    const end = answer.indexOf('\r\n\r\n');
    this.#answer = answer;
    if (end < 0 && answer.length < LONGEST_ANSWER) return Buffer.alloc(0);
    const head = answer.subarray(0, Math.max(end, 0)).toString('latin1');
    const status = head.split('\r\n')[0];
    if (!head.startsWith('HTTP/1.1 101 ')) this.#shaken?.(new Error(`it answers ${status || 'no HTTP'}`));
    else if (!head.includes(this.#accept)) this.#shaken?.(new Error('its handshake is not right'));
    else if (this.#protocol !== undefined && !head.includes(this.#protocol)) {
      this.#shaken?.(new Error(`it does not speak ${this.#protocol}`));
    } else {
      this.#answer = undefined;
      this.#shaken?.();
      return answer.subarray(end + 4);
    }
    return Buffer.alloc(0);
  }

  #end(code: number): void {
    this.#shaken?.(new Error('it hung up'));
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.closed(code);
  }
}
