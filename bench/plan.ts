import type { LoadSettings } from './load-options.ts';

/**
 * The number of messages of a client that the server closed: those in flight may have arrived or
 * not. As NaN, it compares as neither less nor more than any count.
 */
export const UNKNOWN = Number.NaN;

/**
 * Assigns clients to rooms, nodes, generators and roles. Clients are numbered from 0; those of a
 * room are consecutive, senders first.
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

  /** Whether all generators but the first have clients that only read. */
  get hasReaders(): boolean {
    return this.#options.readInterval > 0 && this.#options.generators > 1;
  }

  roomOf(client: number): number {
    return Math.floor(client / this.#roomSize);
  }

  /**
   * Neighbours in a room are on different nodes, and so are the first senders of neighbouring
   * rooms.
   */
  nodeOf(client: number): number {
    return (client + this.roomOf(client)) % this.#options.nodes;
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

  /** @returns the clients of one generator. Each generator has clients of every node. */
  share(generator: number): number[] {
    const { clients, generators, nodes } = this.#options;
    const all = Array.from({ length: clients }, (_, client) => client);
    if (this.hasReaders) {
      const isActive = (client: number) => this.sends(client) || this.audits(client);
      if (generator === 0) return all.filter(isActive);
      return all.filter((client) => !isActive(client)).filter((_, i) => i % (generators - 1) === generator - 1);
    }
    return all.filter((client) => Math.floor(client / nodes) % generators === generator);
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
 * listeners are among them. With several nodes, chooses neighbours, one on each node, whose orders
 * can be compared.
 */
function chooseAuditors({ clients, audit, seed, nodes }: LoadSettings): Set<number> {
  const offset = Math.floor(random(seed)() * clients);
  const groups = Math.max(1, Math.floor(audit / nodes));
  const chosen = new Set<number>();
  for (let group = 0; group < groups; group++) {
    const client = (Math.floor((group * clients) / groups) + offset) % clients;
    const first = client - (client % nodes);
    for (let node = 0; node < nodes && chosen.size < audit; node++) chosen.add((first + node) % clients);
  }
  for (let client = 0; chosen.size < audit; client++) chosen.add(client);
  return chosen;
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
