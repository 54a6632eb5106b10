import type { LoadSettings } from './load-options.ts';

/**
 * The number of messages of a client that the server closed: those in flight may have arrived or
 * not. As NaN, it compares as neither less nor more than any count.
 */
export const UNKNOWN = Number.NaN;

/**
 * Assigns clients to rooms, generators and roles. Clients are numbered from 0; those of a room are
 * consecutive, senders first.
 */
export class Plan {
  readonly rooms: number;
  readonly #roomSize: number;
  readonly #options: LoadSettings;
  readonly #auditors: ReadonlySet<number>;

  constructor(options: LoadSettings) {
    this.#options = options;
    this.#roomSize = options.roomSize ?? options.clients;
    this.rooms = Math.ceil(options.clients / this.#roomSize);
    this.#auditors = chooseAuditors(options);
  }

  roomOf(client: number): number {
    return Math.floor(client / this.#roomSize);
  }

  /** A single room is the default room of the server. */
  roomName(room: number): string {
    return this.rooms === 1 ? 'lobby' : `room-${room}`;
  }

  clientsOf(room: number): { from: number; count: number } {
    const from = room * this.#roomSize;
    return { from, count: Math.min(this.#roomSize, this.#options.clients - from) };
  }

  sends(client: number): boolean {
    const room = this.roomOf(client);
    const { senders } = this.#options;
    const sendersOfRoom = Math.floor(senders / this.rooms) + (room < senders % this.rooms ? 1 : 0);
    return client - room * this.#roomSize < sendersOfRoom;
  }

  audits(client: number): boolean {
    return this.#auditors.has(client);
  }

  /** @returns the clients of one generator. */
  share(generator: number): number[] {
    const { clients, generators } = this.#options;
    return Array.from({ length: clients }, (_, client) => client).filter((client) => client % generators === generator);
  }

  /**
   * @param sent the number of messages of each client.
   * @returns the number of each room; `UNKNOWN` if one of its clients is.
   */
  sentByRoom(sent: readonly number[]): number[] {
    const rooms = new Array<number>(this.rooms).fill(0);
    for (const [client, count] of sent.entries()) (rooms[this.roomOf(client)] as number) += count;
    return rooms;
  }
}

/**
 * Chooses evenly spaced clients from an offset that depends on the seed, so that senders and
 * listeners are among them.
 */
function chooseAuditors({ clients, audit, seed }: LoadSettings): Set<number> {
  const offset = Math.floor(random(seed)() * clients);
  return new Set(Array.from({ length: audit }, (_, i) => (Math.floor((i * clients) / audit) + offset) % clients));
}

/**
 * @returns a pseudorandom generator (Mulberry32) of numbers in [0, 1), deterministic for a seed.
 */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
