import { waitUntil } from '../redis/wait.ts';
import { check } from './checker.ts';
import { RecordingClient } from './recording-client.ts';
import type { Violation } from './violation.ts';

export interface CrowdOptions {
  /** The ports of the nodes. The clients are spread over them. */
  readonly ports: readonly number[];
  /** @default 40 */
  readonly clients?: number;
  /** How many of the clients send. @default 10 */
  readonly senders?: number;
  /** Milliseconds between two messages of one sender. @default 80 */
  readonly everyMs?: number;
}

// A sender that gets no answers stops after so many messages, like the queue of a real client.
const MAX_PENDING = 20;

const SETTLE_MS = 40_000;

/** Recording clients in one room, some of which send all the time. */
export class Crowd {
  readonly clients: readonly RecordingClient[];
  readonly #senders: readonly RecordingClient[];
  readonly #everyMs: number;
  #sending: NodeJS.Timeout | undefined;
  #turn = 0;

  constructor({ ports, clients = 40, senders = 10, everyMs = 80 }: CrowdOptions) {
    this.clients = Array.from({ length: clients }, (_, i) => {
      const first = i % ports.length;
      return new RecordingClient({ name: `c${i}`, ports: [...ports.slice(first), ...ports.slice(0, first)] });
    });
    this.#senders = this.clients.slice(0, senders);
    this.#everyMs = everyMs;
  }

  async joined(): Promise<void> {
    await waitUntil('every client has joined', () => this.clients.every(({ joined }) => joined), SETTLE_MS);
  }

  /** Starts to send: the senders take turns. */
  start(): void {
    this.#sending ??= setInterval(() => {
      const sender = this.#senders[this.#turn++ % this.#senders.length] as RecordingClient;
      if (sender.pending < MAX_PENDING) sender.send();
    }, this.#everyMs / this.#senders.length);
  }

  pause(): void {
    clearInterval(this.#sending);
    this.#sending = undefined;
  }

  /** Stops sending and waits until every client has every answer and the newest message. */
  async settled(): Promise<void> {
    this.pause();
    const isSettled = () => {
      const place = this.clients[0]?.place;
      return this.clients.every(
        (client) =>
          client.joined &&
          client.pending === 0 &&
          client.place?.epoch === place?.epoch &&
          client.place?.seq === place?.seq,
      );
    };
    // The checker reports what is missing.
    await waitUntil('every client has settled', isSettled, SETTLE_MS).catch(() => {});
  }

  /** Settles, reads the whole history, and checks the histories of all clients. */
  async check(): Promise<Violation[]> {
    await this.settled();
    await this.clients[0]?.readAll();
    return check(
      this.clients.map(({ history }) => history),
      { settled: true },
    );
  }

  /** The number of acknowledged messages. */
  get acknowledged(): number {
    return new Set(this.clients.flatMap((client) => client.events('sent').map(({ id }) => id))).size;
  }

  stop(): void {
    this.pause();
    for (const client of this.clients) client.stop();
  }
}
