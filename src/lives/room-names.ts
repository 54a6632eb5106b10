import { randomInt } from 'node:crypto';

// Names that are kept at most. A power of two.
const SLOTS = 4096;

const FNV_PRIME = 0x01000193;

/**
 * The names of rooms by their hash, for records that have 4 bytes for a room. It keeps a bounded
 * number of names: a later one replaces another in its slot.
 */
export class RoomNames {
  readonly #names: (string | undefined)[] = [];
  // So that no client can choose names with the same hash.
  readonly #seed = randomInt(2 ** 32);

  /** Returns the hash of a name, and keeps the name. */
  add(name: string): number {
    const hash = this.hashOf(name);
    if (this.#names.length === 0) this.#names.length = SLOTS;
    this.#names[hash & (SLOTS - 1)] = name;
    return hash;
  }

  /** Returns the name with a hash, or undefined if it is no longer kept. */
  find(hash: number): string | undefined {
    const name = this.#names[hash & (SLOTS - 1)];
    return name !== undefined && this.hashOf(name) === hash ? name : undefined;
  }

  /** Returns a hash of 32 bits that is not 0. */
  hashOf(name: string): number {
    let hash = this.#seed;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), FNV_PRIME);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    return (hash ^ (hash >>> 13)) >>> 0 || 1;
  }
}
