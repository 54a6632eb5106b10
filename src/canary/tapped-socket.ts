import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import WebSocket from 'ws';

/** The certificate of a server that is reached at its own address. */
export interface OwnCertificate {
  /** A PEM file. It is read for each connection, so a renewed one is used at once. */
  readonly path: string;
}

export interface TapOptions {
  /** Returns the token that authenticates a connection. */
  readonly token: () => string;
  /**
   * Accept this certificate, whatever names it has, and no other one.
   *
   * @default those of the authorities that Node trusts, for the name in the URL
   */
  readonly certificate?: OwnCertificate | undefined;
  /** Called with each line that the client library reads, before it does. */
  readonly onLine: (line: string) => void;
  /** Called with the reason when a connection fails. */
  readonly onFailure: (why: string) => void;
}

/** A WebSocket as the client library needs it. */
class TappedSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { readonly data: string }) => void) | null = null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  readonly #options: TapOptions;
  readonly #socket: WebSocket;
  #isDropped = false;

  constructor(url: string, protocols: string[], options: TapOptions) {
    const { token, certificate, onFailure } = options;
    this.#options = options;
    const tls = certificate && tlsOptions(certificate);
    const socket = new WebSocket(url, protocols, { headers: { Authorization: `Bearer ${token()}` }, ...tls });
    this.#socket = socket;
    socket.on('open', () => this.onopen?.());
    socket.on('message', (data) => this.#read(String(data)));
    socket.on('close', (code, reason) => this.onclose?.({ code, reason: String(reason) }));
    // The library gets no reason from a WebSocket. A `close` follows.
    socket.on('error', ({ message, code }: NodeJS.ErrnoException) => {
      if (!this.#isDropped) onFailure(message || (code ?? 'the connection failed'));
    });
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  close(code?: number): void {
    this.#isDropped = true;
    this.#socket.close(code);
  }

  /** The library does not read what arrives after it has given the connection up. */
  #read(frame: string): void {
    if (this.#isDropped) return;
    for (const line of frame.split('\n')) this.#options.onLine(line);
    this.onmessage?.({ data: frame });
  }
}

/**
 * Returns a WebSocket class for the client library that passes on what the library reads. The
 * library drops a repeated message without a word: here it is counted.
 */
export function tappedSocket(options: TapOptions): new (url: string, protocols: string[]) => TappedSocket {
  return class extends TappedSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols, options);
    }
  };
}

/** The certificate is its own authority here, so that one of any other authority is accepted. */
function tlsOptions({ path }: OwnCertificate): ConnectionOptions {
  return { ca: readFileSync(path), allowPartialTrustChain: true, checkServerIdentity: () => undefined };
}
