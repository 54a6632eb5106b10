import type { Client } from '../client/client.ts';
import type { Scheduler } from '../hub/time.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import { type ErrorCode, type ErrorMessage, errors } from '../protocol/v1.ts';
import type { Socket, SocketListener } from '../transport/transport.ts';
import type { Wire } from '../wire/wire.ts';
import type { RefusalNotice } from './refusal.ts';

// How long a connection may stay unauthenticated.
const AUTHENTICATION_TIMEOUT_MS = 10_000;

/** The result of a token that a connection sent. */
export type LateAuthentication =
  | { readonly kind: 'accepted'; readonly client: Client }
  | { readonly kind: 'invalid' }
  /** The token is valid, but the connection is refused. */
  | { readonly kind: 'refused'; readonly notice: RefusalNotice };

export interface PendingClientOptions {
  readonly wire: Wire;
  /** Verifies a token and creates the client of its user. */
  readonly authenticate: (token: string) => Promise<LateAuthentication>;
  readonly scheduler: Scheduler;
  /** Called, possibly more than once, when the connection has authenticated or closed. */
  readonly onDone: () => void;
  /** Called when the connection sends anything but a token. */
  readonly onMissingToken: () => void;
}

/**
 * PendingClient is a connection of the native protocol that has not authenticated. It accepts only
 * a token: a valid one makes it a client. It is closed for anything else, and after ten seconds.
 */
export class PendingClient implements SocketListener {
  readonly #options: PendingClientOptions;
  #socket: Socket | undefined;
  #client: Client | undefined;
  #authenticating = false;
  #cancelTimeout = () => {};

  constructor(options: PendingClientOptions) {
    this.#options = options;
  }

  open(socket: Socket): void {
    this.#socket = socket;
    this.#cancelTimeout = this.#options.scheduler.after(AUTHENTICATION_TIMEOUT_MS, () =>
      this.end(closes.unauthenticated),
    );
  }

  message(data: Uint8Array, binary: boolean): void {
    if (this.#client) this.#client.message(data, binary);
    else if (this.#socket) this.#readToken(data, binary);
  }

  pong(payload: Uint8Array): void {
    this.#client?.pong(payload);
  }

  drain(): void {
    this.#client?.drain();
  }

  close(code: number, reason: string): void {
    this.#finish();
    this.#socket = undefined;
    this.#client?.close(code, reason);
  }

  /** Closes the connection, unless it has authenticated. */
  end(close: Close): void {
    const socket = this.#socket;
    if (this.#client) return;
    this.#finish();
    this.#socket = undefined;
    socket?.close(close);
  }

  #readToken(data: Uint8Array, binary: boolean): void {
    const { wire, authenticate, onMissingToken } = this.#options;
    if (data.byteLength > wire.maxMessageSize) {
      this.end(closes.messageTooBig);
      return;
    }
    const [command, ...more] = wire.decode(data, binary);
    if (command?.kind === 'violation') this.end(command.close);
    // A client must wait for the answer to its token before it sends more.
    else if (command?.kind !== 'auth' || more.length > 0 || this.#authenticating) {
      onMissingToken();
      this.#reject('unauthenticated');
    } else {
      this.#authenticating = true;
      void authenticate(command.token).then((result) => this.#onResult(result));
    }
  }

  #onResult(result: LateAuthentication): void {
    const socket = this.#socket;
    if (socket === undefined) return; // closed meanwhile
    if (result.kind === 'invalid') this.#reject('bad_token');
    else if (result.kind === 'refused') {
      const { error, close } = result.notice;
      if (error) this.#send(error);
      this.end(close);
    } else {
      this.#finish();
      this.#client = result.client;
      result.client.open(socket);
    }
  }

  #reject(code: ErrorCode): void {
    this.#send({ t: 'error', code, ...errors[code] });
    this.end(closes.unauthenticated);
  }

  #send(error: ErrorMessage): void {
    this.#socket?.send(Buffer.from(this.#options.wire.encodeNotice(error)));
  }

  #finish(): void {
    this.#cancelTimeout();
    this.#options.onDone();
  }
}
