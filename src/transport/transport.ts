import type { Close } from '../protocol/close-codes.ts';
import type { TlsFiles } from './tls.ts';

/** The kernel accepted the frame. */
export const SENT = 1;
/** The transport keeps the frame until the socket drains. */
export const QUEUED = 0;
/** The frame is discarded: the socket's buffer is over its limit, or the socket is closed. */
export const DROPPED = 2;
export type SendStatus = typeof SENT | typeof QUEUED | typeof DROPPED;

/**
 * The server's side of one WebSocket connection, or of one response that stays open. No method
 * throws; a closed socket drops frames.
 */
export interface Socket {
  /**
   * Sends one text frame; in a response, these bytes. The bytes must not change afterwards: a
   * transport may keep them until they are written.
   */
  send(frame: Uint8Array): SendStatus;
  /**
   * Sends a ping with at most 125 bytes of payload, which the peer's pong returns. In a response, a
   * comment of an event stream, which has no answer.
   */
  ping(payload: Uint8Array): void;
  /**
   * Runs `work` and sends its frames in one system call where they fit. `send` returns SENT
   * meanwhile; if the kernel did not accept all frames, `bufferedAmount` is positive afterwards and
   * a drain follows.
   */
  cork(work: () => void): void;
  /**
   * Sends what is queued, then a close frame, then ends the connection. Code 1005 sends an empty
   * close frame; 1006 sends none and cuts the connection at once. In a response, the close frame is
   * an event `close`. `SocketListener.close` may be called before this returns. A peer that does
   * not read is cut within 16 seconds.
   */
  close(close: Close): void;
  /** Bytes buffered in user space because the kernel does not accept more; 0 once closed. */
  readonly bufferedAmount: number;
  /** The peer's IP address, for logs and limits. Read it while the socket is open. */
  readonly remoteAddress: string;
}

/** Receives the events of one connection. Calls never overlap, and none follows `close`. */
export interface SocketListener {
  open(socket: Socket): void;
  /** A complete message. Text is valid UTF-8. The bytes are valid only during the call. */
  message(data: Uint8Array, binary: boolean): void;
  /** The bytes are valid only during the call. */
  pong(payload: Uint8Array): void;
  /** The socket's buffer is empty again, after a frame was QUEUED or DROPPED. */
  drain(): void;
  /**
   * Called exactly once. `code` is the peer's: 1005 for an empty close frame, 1006 without a close
   * frame. With 1006, and with a close frame that the transport does not accept, `reason` is the
   * transport's own description and may be empty.
   */
  close(code: number, reason: string): void;
}

export interface HttpRequest {
  /** Upper case. */
  readonly method: string;
  /** Without the query, undecoded. */
  readonly path: string;
  /** The part after `?`, undecoded; empty without one. */
  readonly query: string;
  /** The IP address of the connection's peer. */
  readonly remoteAddress: string;
  /** Returns a header's value by its lower-case name; empty when the header is absent. */
  header(name: string): string;
  /** All headers, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Reads the body of a plain request. Call it once at most, before the handler returns. Resolves
   * with undefined for a body longer than `maxBytes`. Rejects when the client disconnects before
   * its end.
   */
  body(maxBytes: number): Promise<Uint8Array | undefined>;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/**
 * A response of status 200 that stays open as a stream of server-sent events. The connection closes
 * after it.
 */
export interface HttpStream {
  readonly headers: Readonly<Record<string, string>>;
  /** Receives `open`, `drain` and `close`. Its `close` gets the code of its own close, or 1006. */
  readonly listener: SocketListener;
}

/** The answer to a plain request. */
export type HttpAnswer = HttpResponse | HttpStream;

/** Tells a response that stays open from one that is complete. */
export function isStream(answer: HttpAnswer): answer is HttpStream {
  return 'listener' in answer;
}

/** An accepted handshake. */
export interface Upgrade {
  /** Receives the events of the connection. */
  readonly listener: SocketListener;
  /** The subprotocol to answer with; empty for none. */
  readonly protocol: string;
}

/** Tells an accepted handshake from a rejected one. */
export function isUpgrade(decision: Upgrade | HttpResponse): decision is Upgrade {
  return !('status' in decision);
}

/**
 * The application that a transport serves. A request is valid only until the call returns: read it
 * before awaiting.
 */
export interface Application {
  /**
   * Answers a plain request. A throw or a rejection is answered with 500. A stream is not opened
   * for HEAD, nor for a client that has disconnected.
   */
  handle(request: HttpRequest): HttpAnswer | Promise<HttpAnswer>;
  /**
   * Accepts a WebSocket handshake, or rejects it with a response. A throw or a rejection is
   * answered with 500.
   */
  upgrade(request: HttpRequest): Upgrade | HttpResponse | Promise<Upgrade | HttpResponse>;
}

export interface ConnectionOptions {
  /**
   * Maximum length of a message, in bytes. A longer one ends the connection without a close code of
   * the wire, so set it well above the wire's own limit.
   */
  readonly maxPayload: number;
  /** Bytes that may be buffered for one socket or response before its frames are DROPPED. */
  readonly maxBackpressure: number;
}

export interface TransportOptions extends ConnectionOptions {
  /**
   * The certificate for https and wss.
   *
   * @default plain http and ws
   */
  readonly tls?: TlsFiles;
}

export interface Transport {
  readonly name: 'uws' | 'ws';
  /**
   * Starts to listen; port 0 picks a free port. Resolves with the port. Rejects with Node's `code`,
   * such as EADDRINUSE.
   *
   * @param shared lets other threads of this process listen on the port, too: the system spreads
   * the connections over them. The port is not 0 then.
   */
  listen(host: string, port: number, shared?: boolean): Promise<number>;
  /**
   * Reads the certificate again, for new connections. Rejects with a one-line message and keeps the
   * old one if it is invalid.
   */
  renewCertificate(): Promise<void>;
  /** Stops accepting connections. Open ones stay. */
  stopListening(): void;
  /**
   * Ends idle HTTP connections once all sockets are closed, but lets pending close frames leave
   * first. Resolves when no connection is left.
   */
  finish(): Promise<void>;
  /** Cuts every open connection without a close frame. */
  terminate(): void;
}

export type TransportFactory = (application: Application, options: TransportOptions) => Transport;
