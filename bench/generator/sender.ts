import type { Connection } from './connection.ts';
import { messageOf, prefixOf, seqAt } from './message.ts';

/** Receives the events of a sender. */
export interface SenderListener {
  /** Called for each message that came back. */
  roundTrip(milliseconds: number): void;
  /** Called for each message sent, with the time from which it is measured. */
  sent?(seq: number, due: number): void;
}

/** Sends the messages of one client and measures their round trips. */
export class Sender {
  sent = 0;
  /** All messages below this number have come back or are missing. */
  confirmed = 0;
  missed = 0;
  readonly #client: number;
  readonly #bytes: number;
  readonly #prefix: string;
  readonly #encode: (text: string) => string;
  readonly #listener: SenderListener;
  /** When each message in flight was due, from index `#first` on. */
  #dueTimes: number[] = [];
  #first = 0;

  /** @param encode wraps a text in a frame of the wire. */
  constructor(client: number, bytes: number, encode: (text: string) => string, listener: SenderListener) {
    this.#client = client;
    this.#bytes = bytes;
    this.#prefix = prefixOf(client);
    this.#encode = encode;
    this.#listener = listener;
  }

  /** The number of messages in flight. */
  get inFlight(): number {
    return this.sent - this.confirmed;
  }

  /** Sends `count` messages. @param due the time from which to measure their round trips. */
  send(connection: Connection, count: number, due: number): void {
    const messages: string[] = [];
    for (let i = 0; i < count; i++) {
      this.#listener.sent?.(this.sent, due);
      messages.push(this.#encode(messageOf(this.#client, this.sent++, this.#bytes)));
      this.#dueTimes.push(due);
    }
    connection.send(messages);
  }

  /**
   * Finds this client's messages in a frame. A skipped message counts as missed and is no longer
   * waited for.
   */
  receive(frame: Buffer, now: number): void {
    for (let at = frame.indexOf(this.#prefix, 0, 'latin1'); at >= 0; ) {
      const seq = seqAt(frame, at);
      if (seq >= this.confirmed && seq < this.sent) {
        this.missed += seq - this.confirmed;
        this.#first += seq - this.confirmed;
        this.#listener.roundTrip(now - (this.#dueTimes[this.#first++] as number));
        this.confirmed = seq + 1;
      }
      at = frame.indexOf(this.#prefix, at + this.#bytes, 'latin1');
    }
    if (this.#first < 1024) return;
    this.#dueTimes = this.#dueTimes.slice(this.#first);
    this.#first = 0;
  }
}
