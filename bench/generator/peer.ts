import type { Decoder, Place, Wire } from '../wires/index.ts';
import type { Audit } from './audit.ts';
import { Connection, type ConnectionListener } from './connection.ts';
import type { Sender } from './sender.ts';

/** Counters that all peers of a generator share. */
export interface Tally {
  deliveries: number;
  /** Frames with at least one message. */
  frames: number;
  /**
   * The number of messages that each sender keeps in flight; 0 if senders do not refill their
   * window.
   */
  window: number;
}

/** Where and how a peer connects. */
export interface Destination {
  readonly url: URL;
  readonly wire: Wire;
  /** The length of each message. */
  readonly bytes: number;
  readonly since: Place | undefined;
  /** Whether to check the number of each message, on wires that have numbers. */
  readonly checksNumbers: boolean;
}

const JOIN_TIMEOUT_MS = 20_000;

/** One client of the load. Counts the messages it receives, and may also send or audit. */
export class Peer implements ConnectionListener {
  readonly room: string;
  readonly sender: Sender | undefined;
  readonly audit: Audit | undefined;
  /** The number of messages received. */
  received = 0;
  /** The code with which the server closed the connection. */
  closeCode: number | undefined;
  readonly #destination: Destination;
  readonly #decoder: Decoder;
  readonly #tally: Tally;
  #connection: Connection | undefined;
  /** Settles the pending join. */
  #settleJoin: ((error?: Error) => void) | undefined;

  constructor(
    destination: Destination,
    tally: Tally,
    room: string,
    sender: Sender | undefined,
    audit: Audit | undefined,
  ) {
    this.#destination = destination;
    this.#tally = tally;
    this.#decoder = destination.wire.decoder(destination.bytes, destination.checksNumbers);
    this.room = room;
    this.sender = sender;
    this.audit = audit;
  }

  /** How many messages had a number that is not above the one before. */
  get outOfSequence(): number {
    return this.#decoder.outOfSequence ?? 0;
  }

  /** Connects and joins the room. Rejects if either fails. */
  async open(): Promise<void> {
    const { url, wire, since } = this.#destination;
    const joinFrames = wire.join(this.room, since);
    const joined = joinFrames.length === 0 ? undefined : this.#waitForJoin(url);
    joined?.catch(() => {}); // if connecting fails, nothing awaits the join
    try {
      this.#connection = await Connection.open(url, wire.protocol, this);
      if (joinFrames.length > 0) this.#connection.send(joinFrames);
      await joined;
    } finally {
      this.#settleJoin = undefined;
    }
    this.#connection.keepPayloads = this.#decoder.needsPayload || this.sender !== undefined || this.audit !== undefined;
  }

  message(payload: Buffer | undefined, length: number): void {
    if (this.#settleJoin && !this.#tryJoin(payload as Buffer)) return;
    const count = this.#decoder.count(payload, length);
    this.received += count;
    this.#tally.deliveries += count;
    if (count > 0) this.#tally.frames++;
    const reply = this.#decoder.reply?.(length);
    if (reply !== undefined) this.#connection?.send([reply]);
    if (!payload) return;
    if (this.audit) this.#decoder.decode(payload, (message, text) => this.audit?.record(message, text));
    if (!this.sender || count === 0) return;
    this.sender.receive(payload, performance.now());
    this.refill();
  }

  closed(code: number): void {
    this.closeCode = code;
    this.#settleJoin?.(new Error(`the server closed the connection with ${code}`));
  }

  /** Sends until the window is full. */
  refill(): void {
    const available = this.#tally.window - (this.sender?.inFlight ?? 0);
    if (available > 0) this.send(available, performance.now());
  }

  /** @param due the time from which to measure the round trips. */
  send(count: number, due: number): void {
    if (this.#connection && this.closeCode === undefined) this.sender?.send(this.#connection, count, due);
  }

  pause(): void {
    this.#connection?.pause();
  }

  resume(): void {
    this.#connection?.resume();
  }

  /** Disconnects without a close frame. */
  disconnect(): void {
    this.#connection?.disconnect();
  }

  async close(): Promise<void> {
    await this.#connection?.close();
  }

  #waitForJoin(url: URL): Promise<void> {
    return new Promise((resolve, reject) => {
      const timeout = setTimeout(
        () => this.#settleJoin?.(new Error(`no response within ${JOIN_TIMEOUT_MS / 1000} s`)),
        JOIN_TIMEOUT_MS,
      );
      timeout.unref();
      this.#settleJoin = (error) => {
        clearTimeout(timeout);
        this.#settleJoin = undefined;
        if (error) reject(new Error(`cannot join at ${url.href}: ${error.message}`));
        else resolve();
      };
    });
  }

  /** @returns whether the client has joined its room. */
  #tryJoin(payload: Buffer): boolean {
    try {
      if (!this.#decoder.joined(payload)) return false;
      this.#settleJoin?.();
      return true;
    } catch (error) {
      this.#settleJoin?.(error as Error);
      return false;
    }
  }
}
