import type { Client } from '../client/client.ts';
import type { Scheduler } from '../hub/time.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import { type ErrorCode, errors } from '../protocol/v1.ts';
import type { Socket, SocketListener } from '../transport/transport.ts';
import type { Wire } from '../wire/wire.ts';

// How long a connection may stay unauthenticated.
const AUTHENTICATION_TIMEOUT_MS = 10_000;

/**
 * PendingClient is a connection of the native protocol that has not authenticated. It accepts only
 * a token: a valid one makes it a client. It is closed for anything else, and after ten seconds.
 */
export class PendingClient implements SocketListener {
  readonly #wire: Wire;
  readonly #authenticate: (token: string) => Promise<Client | undefined>;
  readonly #scheduler: Scheduler;
  readonly #onDone: () => void;
  #socket: Socket | undefined;
  #client: Client | undefined;
  #authenticating = false;
  #cancelTimeout = () => {};

  /**
   * @param authenticate verifies a token and creates the client of its user. It returns undefined
   * for an invalid token.
   * @param onDone is called, possibly more than once, when the connection has authenticated or
   * closed.
   */
  constructor(
    wire: Wire,
    authenticate: (token: string) => Promise<Client | undefined>,
    scheduler: Scheduler,
    onDone: () => void,
  ) {
    this.#wire = wire;
    this.#authenticate = authenticate;
    this.#scheduler = scheduler;
    this.#onDone = onDone;
  }

  open(socket: Socket): void {
    this.#socket = socket;
    this.#cancelTimeout = this.#scheduler.after(AUTHENTICATION_TIMEOUT_MS, () => this.end(closes.unauthenticated));
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
    if (data.byteLength > this.#wire.maxMessageSize) {
      this.end(closes.messageTooBig);
      return;
    }
    const [command, ...more] = this.#wire.decode(data, binary);
    if (command?.kind === 'violation') this.end(command.close);
    // A client must wait for the answer to its token before it sends more.
    else if (command?.kind !== 'auth' || more.length > 0 || this.#authenticating) this.#reject('unauthenticated');
    else {
      this.#authenticating = true;
      void this.#authenticate(command.token).then((client) => this.#authenticated(client));
    }
  }

  #authenticated(client: Client | undefined): void {
    const socket = this.#socket;
    if (socket === undefined) return; // closed meanwhile
    if (client === undefined) {
      this.#reject('bad_token');
      return;
    }
    this.#finish();
    this.#client = client;
    client.open(socket);
  }

  #reject(code: ErrorCode): void {
    this.#socket?.send(Buffer.from(this.#wire.encodeNotice({ t: 'error', code, ...errors[code] })));
    this.end(closes.unauthenticated);
  }

  #finish(): void {
    this.#cancelTimeout();
    this.#onDone();
  }
}
