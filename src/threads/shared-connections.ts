import { type Fingerprint, fingerprint } from '../hub/fingerprints.ts';
import { SharedTable } from './shared-table.ts';

/** An entry has a count. It is idle at 0, so the time at which it expires is the count itself. */
export const COUNT_NUMBERS = 1;

/**
 * The connections of all threads: their number, and that of each address. The table has room for as
 * many addresses as there may be connections. If there are more, the counts of some addresses with
 * few connections are forgotten, which refuses nobody.
 */
export class SharedConnections {
  readonly #all: Int32Array;
  readonly #byAddress: SharedTable;
  readonly #seeds: Fingerprint;
  readonly #key: Fingerprint = { high: 0, low: 0 };

  constructor(all: SharedArrayBuffer, byAddress: SharedArrayBuffer, seeds: Fingerprint) {
    this.#all = new Int32Array(all);
    this.#byAddress = new SharedTable(byAddress, COUNT_NUMBERS);
    this.#seeds = seeds;
  }

  /** The number of all connections. */
  get all(): number {
    return Atomics.load(this.#all, 0);
  }

  /** Returns the number of connections of an address. */
  of(address: string): number {
    this.#select(address);
    return this.#byAddress.run(this.#count);
  }

  add(address: string): void {
    this.#select(address);
    Atomics.add(this.#all, 0, 1);
    this.#byAddress.run(this.#increment);
  }

  remove(address: string): void {
    this.#select(address);
    Atomics.sub(this.#all, 0, 1);
    this.#byAddress.run(this.#decrement);
  }

  /** Selects the address of the sections below, which exist once, to allocate nothing. */
  #select(address: string): void {
    fingerprint(address, '', this.#key, this.#seeds);
  }

  readonly #count = (): number => {
    const at = this.#byAddress.find(this.#key);
    return at < 0 ? 0 : this.#byAddress.get(at);
  };

  readonly #increment = (): void => {
    const at = this.#byAddress.find(this.#key);
    if (at < 0) this.#byAddress.set(this.#byAddress.add(this.#key, 0), 1);
    else this.#byAddress.set(at, this.#byAddress.get(at) + 1);
  };

  readonly #decrement = (): void => {
    const at = this.#byAddress.find(this.#key);
    if (at >= 0) this.#byAddress.set(at, Math.max(0, this.#byAddress.get(at) - 1));
  };
}
