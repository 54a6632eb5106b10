import { connect, type Hub, type Message, type Room } from 'pumphouse/client';
import { onTestFinished } from 'vitest';
import { waitUntil } from '../redis/wait.ts';
import type { TlsProxy } from './proxies.ts';

const PERIOD_MS = 20;
const RECONNECT_MS = 50;

interface Numbered {
  readonly number: number;
}

/** A client of the library that sends numbered messages to a room, and records what it receives. */
class Talker {
  readonly hub: Hub;
  readonly received: Message<Numbered>[] = [];
  readonly gaps: unknown[] = [];
  readonly #sends: Promise<number>[] = [];
  readonly #room: Room<Numbered, never>;

  constructor(proxy: TlsProxy, room: string, user: string) {
    this.hub = connect(proxy.url, { user, WebSocket: proxy.WebSocket });
    this.hub.on('state', ({ name }) => {
      if (name === 'reconnecting') setTimeout(() => this.hub.reconnect(), RECONNECT_MS);
    });
    this.#room = this.hub.join<Numbered>(room);
    this.#room.on('message', (message) => this.received.push(message));
    this.#room.on('gap', (gap) => this.gaps.push(gap));
  }

  /** The members that it sees. */
  get members(): number {
    return this.#room.members?.length ?? 0;
  }

  send(): void {
    this.#sends.push(this.#room.send({ number: this.#sends.length }));
  }

  /** Resolves with the sequence numbers of its messages, when all are acknowledged. */
  acknowledged(): Promise<number[]> {
    return Promise.all(this.#sends);
  }
}

/** Several talkers in one room, behind one proxy. They are closed when the test ends. */
export class Talkers {
  readonly all: readonly Talker[];
  #timer: NodeJS.Timeout | undefined;

  private constructor(all: readonly Talker[]) {
    this.all = all;
  }

  /**
   * Connects the talkers, and waits until they see each other.
   *
   * @param room is new to the server.
   */
  static async join(proxy: TlsProxy, count: number, room = 'talk'): Promise<Talkers> {
    const talkers = new Talkers(Array.from({ length: count }, (_, i) => new Talker(proxy, room, `user-${i}`)));
    onTestFinished(() => {
      clearInterval(talkers.#timer);
      for (const { hub } of talkers.all) hub.close();
    });
    await waitUntil('all have joined', () => talkers.all.every(({ members }) => members === count));
    return talkers;
  }

  /** Sends messages, from each talker in turn, until `finish`. */
  start(): void {
    let turn = 0;
    this.#timer = setInterval(() => this.all[turn++ % this.all.length]?.send(), PERIOD_MS);
  }

  /**
   * Stops sending, and waits until every message is acknowledged and has reached every talker.
   *
   * @returns the numbers of the room's messages, and what each talker received.
   */
  async finish(): Promise<{ sent: number[]; received: number[][]; gaps: unknown[] }> {
    clearInterval(this.#timer);
    const sent = (await Promise.all(this.all.map((talker) => talker.acknowledged()))).flat().toSorted((a, b) => a - b);
    const last = sent.at(-1);
    await waitUntil('all have the last message', () =>
      this.all.every(({ received }) => received.at(-1)?.seq === last),
    ).catch(() => undefined); // what was received shows which messages are missing
    return {
      sent,
      received: this.all.map(({ received }) => received.map(({ seq }) => seq)),
      gaps: this.all.flatMap(({ gaps }) => gaps),
    };
  }
}
