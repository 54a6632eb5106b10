import type { Dialect, Ear, Place } from '../dialects/index.ts';
import type { Audit } from './audit.ts';
import { Connection, type ConnectionListener } from './connection.ts';
import type { Sender } from './sender.ts';

/** What all peers of one load count together. */
export interface Tally {
  deliveries: number;
  /** Messages that each sender keeps on their way; 0 when it sends no more by itself. */
  window: number;
}

/** Where a peer connects to, and what it says there. */
export interface Destination {
  readonly url: URL;
  readonly dialect: Dialect;
  /** The length of each message. */
  readonly bytes: number;
  readonly since: Place | undefined;
}

const GREETING_MS = 20_000;

/** One of the load's clients: it counts what it hears, and perhaps sends, or checks all that it hears. */
export class Peer implements ConnectionListener {
  readonly room: string;
  readonly sender: Sender | undefined;
  readonly audit: Audit | undefined;
  /** Messages that it heard. */
  heard = 0;
  /** The code that the server closed it with. */
  code: number | undefined;
  readonly #to: Destination;
  readonly #ear: Ear;
  readonly #tally: Tally;
  #connection: Connection | undefined;
  /** While it waits to be in its room. */
  #greeted: ((refused?: Error) => void) | undefined;

  constructor(to: Destination, tally: Tally, room: string, sender: Sender | undefined, audit: Audit | undefined) {
    this.#to = to;
    this.#tally = tally;
    this.#ear = to.dialect.ear(to.bytes);
    this.room = room;
    this.sender = sender;
    this.audit = audit;
  }

  /** Resolves when it is in its room. Rejects with one clear line when it cannot come there. */
  async open(): Promise<void> {
    const { url, dialect, since } = this.#to;
    const opening = dialect.opening(this.room, since);
    const greeted = opening.length === 0 ? undefined : this.#greeting(url);
    greeted?.catch(() => {}); // who cannot connect is not greeted either
    try {
      this.#connection = await Connection.open(url, dialect.protocol, this);
      if (opening.length > 0) this.#connection.send(opening);
      await greeted;
    } finally {
      this.#greeted = undefined;
    }
    this.#connection.whole = this.#ear.whole || this.sender !== undefined || this.audit !== undefined;
  }

  message(payload: Buffer | undefined, length: number): void {
    if (this.#greeted && !this.#greet(payload as Buffer)) return;
    const count = this.#ear.count(payload, length);
    this.heard += count;
    this.#tally.deliveries += count;
    const answer = this.#ear.answer?.(length);
    if (answer !== undefined) this.#connection?.send([answer]);
    if (!payload) return;
    if (this.audit) this.#ear.read(payload, (message, words) => this.audit?.hear(message, words));
    if (!this.sender || count === 0) return;
    this.sender.heard(payload, performance.now());
    this.refill();
  }

  closed(code: number): void {
    this.code = code;
    this.#greeted?.(new Error(`it closed the connection with ${code}`));
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

  /** Goes away without a word. */
  cut(): void {
    this.#connection?.cut();
  }

  async close(): Promise<void> {
    await this.#connection?.close();
  }

  #greeting(url: URL): Promise<void> {
    return new Promise((resolve, reject) => {
      const timeout = setTimeout(() => this.#greeted?.(new Error('it does not let it in')), GREETING_MS);
      timeout.unref();
      this.#greeted = (refused) => {
        clearTimeout(timeout);
        this.#greeted = undefined;
        if (refused) reject(new Error(`cannot join at ${url.href}: ${refused.message}`));
        else resolve();
      };
    });
  }

  /** @returns whether it is in its room now. */
  #greet(payload: Buffer): boolean {
    try {
      if (!this.#ear.greet(payload)) return false;
      this.#greeted?.();
      return true;
    } catch (error) {
      this.#greeted?.(error as Error);
      return false;
    }
  }
}
