import type { Connection } from './connection.ts';
import { messageOf, prefixOf, seqAt } from './message.ts';

/** Takes a round trip, in milliseconds. */
export type OnRoundTrip = (milliseconds: number) => void;

/** Sends one client's messages and times their way back. */
export class Sender {
  sent = 0;
  /** Its own messages up to here have come back, but for those that it missed. */
  confirmed = 0;
  missed = 0;
  readonly #client: number;
  readonly #bytes: number;
  readonly #prefix: string;
  readonly #wrap: (text: string) => string;
  readonly #onRoundTrip: OnRoundTrip;
  /** When each message that is on its way was due. */
  #times: number[] = [];
  #first = 0;

  /** @param wrap makes of a text what a client says to have it delivered. */
  constructor(client: number, bytes: number, wrap: (text: string) => string, onRoundTrip: OnRoundTrip) {
    this.#client = client;
    this.#bytes = bytes;
    this.#prefix = prefixOf(client);
    this.#wrap = wrap;
    this.#onRoundTrip = onRoundTrip;
  }

  /** Messages on their way. */
  get inFlight(): number {
    return this.sent - this.confirmed;
  }

  /** Sends `count` messages. @param due the time from which their round trip counts. */
  send(connection: Connection, count: number, due: number): void {
    const messages: string[] = [];
    for (let i = 0; i < count; i++) {
      messages.push(this.#wrap(messageOf(this.#client, this.sent++, this.#bytes)));
      this.#times.push(due);
    }
    connection.send(messages);
  }

  /** Looks for its own messages in a frame. Those that it finds missing will not come: they are waited for no longer. */
  heard(frame: Buffer, now: number): void {
    for (let at = frame.indexOf(this.#prefix, 0, 'latin1'); at >= 0; ) {
      const seq = seqAt(frame, at);
      if (seq >= this.confirmed && seq < this.sent) {
        this.missed += seq - this.confirmed;
        this.#first += seq - this.confirmed;
        this.#onRoundTrip(now - (this.#times[this.#first++] as number));
        this.confirmed = seq + 1;
      }
      at = frame.indexOf(this.#prefix, at + this.#bytes, 'latin1');
    }
    if (this.#first < 1024) return;
    this.#times = this.#times.slice(this.#first);
    this.#first = 0;
  }
}
