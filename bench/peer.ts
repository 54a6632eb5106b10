import type { Audit } from './audit.ts';
import { Connection, type ConnectionListener } from './connection.ts';
import type { Sender } from './sender.ts';

/** What all peers of one load count together. */
export interface Tally {
  deliveries: number;
  /** Messages that each sender keeps on their way; 0 when it sends no more by itself. */
  window: number;
}

/** One of the load's clients: it counts what it hears, and perhaps sends, or checks all that it hears. */
export class Peer implements ConnectionListener {
  readonly sender: Sender | undefined;
  readonly audit: Audit | undefined;
  /** The code that the server closed it with. */
  code: number | undefined;
  readonly #tally: Tally;
  readonly #stride: number;
  #connection: Connection | undefined;

  /** @param bytes the length of each message. */
  constructor(tally: Tally, bytes: number, sender: Sender | undefined, audit: Audit | undefined) {
    this.#tally = tally;
    this.#stride = bytes + 1;
    this.sender = sender;
    this.audit = audit;
  }

  /** Rejects with one clear line when it cannot connect. */
  async open(url: URL): Promise<void> {
    this.#connection = await Connection.open(url, this, this.sender !== undefined || this.audit !== undefined);
  }

  /** All messages have one length, and a newline between them: their number follows from the frame's. */
  message(payload: Buffer | undefined, length: number): void {
    this.#tally.deliveries += Math.ceil((length + 1) / this.#stride);
    if (!payload) return;
    this.audit?.frame(payload);
    if (!this.sender) return;
    this.sender.heard(payload, performance.now());
    this.refill();
  }

  closed(code: number): void {
    this.code = code;
  }

  /** Sends what its window has room for. */
  refill(): void {
    const room = this.#tally.window - (this.sender?.inFlight ?? 0);
    if (room > 0) this.send(room, performance.now());
  }

  /** @param due the time from which the round trip counts. */
  send(count: number, due: number): void {
    if (this.#connection && this.code === undefined) this.sender?.send(this.#connection, count, due);
  }

  pause(): void {
    this.#connection?.pause();
  }

  resume(): void {
    this.#connection?.resume();
  }

  async close(): Promise<void> {
    await this.#connection?.close();
  }
}
