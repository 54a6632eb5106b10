import type { Close } from '../protocol/close-codes.ts';
import type { TlsFiles } from './tls.ts';

/** What became of a frame: handed to the kernel, kept by the transport until the socket drains, or refused. */
export const SENT = 1;
export const QUEUED = 0;
export const DROPPED = 2;
export type SendStatus = typeof SENT | typeof QUEUED | typeof DROPPED;

/**
 * One WebSocket connection, as the client sees it. Nothing here throws, not even after the close: a closed socket
 * drops what it is given.
 */
export interface Socket {
  /** Sends one whole text frame. The bytes must not change afterwards: a transport may keep them until they are written. */
  send(frame: Uint8Array): SendStatus;
  /** Sends a ping with at most 125 bytes of payload; the peer's pong brings them back. */
  ping(payload: Uint8Array): void;
  /**
   * Runs `work` so that the frames it sends leave in one system call where they fit. They count as SENT meanwhile: whether the
   * kernel took them all, `bufferedAmount` tells afterwards; if not, a drain follows.
   */
  cork(work: () => void): void;
  /**
   * Sends what is queued, then a close frame, then ends the connection. 1005 sends an empty close frame; 1006 sends none
   * and cuts the connection at once. `SocketListener.close` may be called before this returns. A peer that takes nothing is
   * cut within some seconds.
   */
  close(close: Close): void;
  /** Bytes that the transport holds because the kernel takes no more; 0 once closed. */
  readonly bufferedAmount: number;
  /** The peer's address, for the log. */
  readonly remoteAddress: string;
}

/** What a transport tells of one connection. Calls never overlap, and none follows `close`. */
export interface SocketListener {
  open(socket: Socket): void;
  /** A whole message. Text is valid UTF-8. The bytes live only during the call. */
  message(data: Uint8Array, binary: boolean): void;
  /** The bytes live only during the call. */
  pong(payload: Uint8Array): void;
  /** After a frame was QUEUED or DROPPED: the socket's buffer is empty again. */
  drain(): void;
  /** Exactly once. `code` is the peer's: 1005 for an empty close frame, 1006 for none; then `reason` is what the transport knows of it. */
  close(code: number, reason: string): void;
}

export interface HttpRequest {
  /** Upper case. */
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** What follows `?`, undecoded; empty when there is none. */
  readonly query: string;
  readonly remoteAddress: string;
  /** A header's value by its lower-case name; empty when it is absent. */
  header(name: string): string;
  /** All headers, by their lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Reads the body of a plain request; ask before the call returns, once. @returns undefined when it is longer than `most` bytes.
   * Rejects when the client goes before its end.
   */
  body(most: number): Promise<Uint8Array | undefined>;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/** An accepted handshake: who listens to the connection, and the subprotocol to answer with (empty for none). */
export interface Upgrade {
  readonly listener: SocketListener;
  readonly protocol: string;
}

/** What a transport serves. The request is valid until the call returns, not after: read what is needed before awaiting. */
export interface Application {
  /** Answers a plain request. A rejection or a throw is answered with 500. */
  handle(request: HttpRequest): HttpResponse | Promise<HttpResponse>;
  /** Decides on a WebSocket handshake: accepted, or refused with a response. A rejection or a throw is refused with 500. */
  upgrade(request: HttpRequest): Upgrade | HttpResponse | Promise<Upgrade | HttpResponse>;
}

export interface TransportOptions {
  /** Longest message that is read at all, in bytes. Longer ones end the connection; set it well above the wire's own limit. */
  readonly maxPayload: number;
  /** Bytes that may wait for one slow socket before its frames are DROPPED. */
  readonly maxBackpressure: number;
  /** For https and wss; plain where absent. */
  readonly tls?: TlsFiles;
}

export interface Transport {
  readonly name: 'uws' | 'ws';
  /** Starts to listen. Port 0 takes a free one. @returns the port. Rejects with a Node `code` such as EADDRINUSE. */
  listen(host: string, port: number): Promise<number>;
  /** Reads the certificate again: for connections from then on. Rejects with one clear line, and goes on with the old one. */
  renewCertificate(): Promise<void>;
  /** Takes no more connections; those that are open stay. */
  stopListening(): void;
  /** Once everyone was sent away: ends idle connections of HTTP too, unless a socket is still being written to. */
  finish(): void;
  /** Cuts every connection that is still open, without a close frame. */
  terminate(): void;
}

export type TransportFactory = (application: Application, options: TransportOptions) => Transport;
