import type { Client } from '../client/client.ts';
import type { Scheduler } from '../hub/time.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import { type ErrorCode, errors } from '../protocol/v1.ts';
import type { Socket, SocketListener } from '../transport/transport.ts';
import type { Wire } from '../wire/wire.ts';

/** How long a connection may be open without a token. */
const SIGN_IN_MS = 10_000;

/**
 * A connection of the native protocol that nobody is known to be behind: it is listened to for a token alone. With a good one it
 * becomes a client; with a false one, or with none for ten seconds, it is closed.
 */
export class PendingClient implements SocketListener {
  readonly #wire: Wire;
  readonly #enter: (token: string) => Promise<Client | undefined>;
  readonly #scheduler: Scheduler;
  readonly #onOver: () => void;
  #socket: Socket | undefined;
  #client: Client | undefined;
  #asking = false;
  #cancel = () => {};

  /** @param enter finds out whose token it is, and makes that user's client. @param onOver is called when it is signed in or gone. */
  constructor(
    wire: Wire,
    enter: (token: string) => Promise<Client | undefined>,
    scheduler: Scheduler,
    onOver: () => void,
  ) {
    this.#wire = wire;
    this.#enter = enter;
    this.#scheduler = scheduler;
    this.#onOver = onOver;
  }

  open(socket: Socket): void {
    this.#socket = socket;
    this.#cancel = this.#scheduler.after(SIGN_IN_MS, () => this.end(closes.unauthenticated));
  }

  message(data: Uint8Array, binary: boolean): void {
    if (this.#client) this.#client.message(data, binary);
    else if (this.#socket) this.#first(data, binary);
  }

  pong(payload: Uint8Array): void {
    this.#client?.pong(payload);
  }

  drain(): void {
    this.#client?.drain();
  }

  close(code: number, reason: string): void {
    this.#over();
    this.#socket = undefined;
    this.#client?.close(code, reason);
  }

  #first(data: Uint8Array, binary: boolean): void {
    if (data.byteLength > this.#wire.maxMessageSize) {
      this.end(closes.messageTooBig);
      return;
    }
    const [command, ...more] = this.#wire.decode(data, binary);
    if (command?.kind === 'violation') this.end(command.close);
    // What follows a token must wait for its answer.
    else if (command?.kind !== 'auth' || more.length > 0 || this.#asking) this.#refuse('unauthenticated');
    else this.#ask(command.token);
  }

  #ask(token: string): void {
    this.#asking = true;
    void this.#enter(token).then((client) => this.#answered(client));
  }

  #answered(client: Client | undefined): void {
    const socket = this.#socket;
    if (socket === undefined) return; // it has gone meanwhile
    if (client === undefined) {
      this.#refuse('bad_token');
      return;
    }
    this.#over();
    this.#client = client;
    client.open(socket);
  }

  #refuse(code: ErrorCode): void {
    this.#socket?.send(Buffer.from(this.#wire.encodeNotice({ t: 'error', code, ...errors[code] })));
    this.end(closes.unauthenticated);
  }

  /** Closes it, unless it is a client by now. */
  end(close: Close): void {
    const socket = this.#socket;
    if (this.#client) return;
    this.#over();
    this.#socket = undefined;
    socket?.close(close);
  }

  #over(): void {
    this.#cancel();
    this.#onOver();
  }
}
