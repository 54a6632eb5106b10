import type { LoadSettings } from './load-options.ts';

/**
 * How many messages of a client are to be heard that the server closed: those on their way may have arrived, or not. No
 * number is less than it, and none is more.
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
