import type { DialectName } from './dialects/index.ts';

/** What to load a server with. */
export interface LoadOptions {
  readonly url: string;
  readonly wire: DialectName;
  readonly clients: number;
  /** How many of the clients send. */
  readonly senders: number;
  /** Clients of a room; undefined where all are in one. */
  readonly roomSize: number | undefined;
  /** Messages that each sender keeps on their way; ignored with a rate. */
  readonly window: number;
  /** Messages a second of all senders together, sent whatever comes back; undefined for the closed loop. */
  readonly rate: number | undefined;
  /** Length of a message. */
  readonly bytes: number;
  readonly seconds: number;
  readonly warmUp: number;
  /** How many of the clients check every message. */
  readonly audit: number;
  /** Seconds without any delivery after which what has not come counts as lost. */
  readonly patience: number;
  /** Further clients that never read. */
  readonly slow: number;
  /** Further clients that come and go: how many come in a second. */
  readonly churn: number;
  /** Connections that are opened at once. */
  readonly atOnce: number;
  /** Messages that are said before anyone comes, and that all who come must get. */
  readonly backlog: number;
  /** Chooses who audits, who sends next in an open loop, and when who churns leaves. */
  readonly seed: number;
  /** Processes that the clients are shared out to. */
  readonly generators: number;
}

/** What a server is loaded with, whichever it is. */
export type LoadSettings = Omit<LoadOptions, 'url'>;

/**
 * How many messages of a client are to be heard that the server closed: those on their way may have arrived, or not. As a number
 * it is more than none, less than none, and equal to none.
 */
export const UNKNOWN = Number.NaN;

/** Who of all clients is where. Clients are numbered from 0; those of a room follow each other, and its first ones send. */
export class Plan {
  readonly rooms: number;
  readonly #size: number;
  readonly #options: LoadSettings;
  readonly #audited: ReadonlySet<number>;

  constructor(options: LoadSettings) {
    this.#options = options;
    this.#size = options.roomSize ?? options.clients;
    this.rooms = Math.ceil(options.clients / this.#size);
    this.#audited = chosen(options);
  }

  roomOf(client: number): number {
    return Math.floor(client / this.#size);
  }

  /** A room that stands alone has the name of the one that a server has in any case. */
  roomName(room: number): string {
    return this.rooms === 1 ? 'lobby' : `room-${room}`;
  }

  clientsOf(room: number): { from: number; count: number } {
    const from = room * this.#size;
    return { from, count: Math.min(this.#size, this.#options.clients - from) };
  }

  sends(client: number): boolean {
    const room = this.roomOf(client);
    const { senders } = this.#options;
    const ofRoom = Math.floor(senders / this.rooms) + (room < senders % this.rooms ? 1 : 0);
    return client - room * this.#size < ofRoom;
  }

  audits(client: number): boolean {
    return this.#audited.has(client);
  }

  /** The clients of one of the generators. */
  share(generator: number): number[] {
    const { clients, generators } = this.#options;
    return Array.from({ length: clients }, (_, client) => client).filter((client) => client % generators === generator);
  }

  /** @param sent how many messages each client sent. @returns how many that makes in each room; `UNKNOWN` where one is. */
  sentByRoom(sent: readonly number[]): number[] {
    const rooms = new Array<number>(this.rooms).fill(0);
    for (const [client, count] of sent.entries()) (rooms[this.roomOf(client)] as number) += count;
    return rooms;
  }
}

/** Spread over all of them, so that some send and some only listen; the seed says which. */
function chosen({ clients, audit, seed }: LoadSettings): Set<number> {
  const offset = Math.floor(random(seed)() * clients);
  return new Set(Array.from({ length: audit }, (_, i) => (Math.floor((i * clients) / audit) + offset) % clients));
}

/** A generator of numbers from 0 up to 1, the same ones for the same seed (Mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
