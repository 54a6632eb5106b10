/**
 * A 64-bit hash of a sender and an id. The seeds are random, so that no sender can construct a
 * collision; one by chance is less likely than a memory error.
 */
export interface Fingerprint {
  high: number;
  low: number;
}

/** Returns random seeds. */
export function createSeeds(): Fingerprint {
  const [high, low] = crypto.getRandomValues(new Int32Array(2)) as unknown as [number, number];
  return { high, low };
}

// Each thread loads this module, and so has seeds of its own.
const SEEDS = createSeeds();

/**
 * Writes the fingerprint of `sender` and `id` to `to`, which the caller reuses: nothing is
 * allocated.
 *
 * @param seeds for fingerprints that threads share. @default those of this thread
 */
export function fingerprint(sender: string, id: string, to: Fingerprint, seeds: Fingerprint = SEEDS): void {
  to.high = seeds.high ^ sender.length; // the lengths separate ('ab', 'c') from ('a', 'bc')
  to.low = seeds.low ^ id.length;
  mix(sender, to);
  mix(id, to);
  to.high = scatter(to.high);
  to.low = scatter(to.low ^ to.high);
}

/** Computes two 32-bit hashes in the manner of MurmurHash3, with different multipliers. */
function mix(text: string, into: Fingerprint): void {
  let { high, low } = into;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    high = Math.imul(rotate(high ^ Math.imul(rotate(Math.imul(code, 0xcc9e2d51)), 0x1b873593)), 5) + 0xe6546b64;
    low = Math.imul(rotate(low ^ Math.imul(rotate(Math.imul(code, 0x85ebca6b)), 0xc2b2ae35)), 9) + 0x38495ab5;
  }
  into.high = high | 0;
  into.low = low | 0;
}

function rotate(bits: number): number {
  return (bits << 15) | (bits >>> 17);
}

function scatter(bits: number): number {
  const once = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35);
  return twice ^ (twice >>> 16);
}

const INITIAL_SLOTS = 16;

/**
 * A map from fingerprints to numbers in one buffer, which the garbage collector need not walk. A
 * slot has 16 bytes: the fingerprint and the number, which is 0 in a free slot. The map is at most
 * half full.
 */
export class FingerprintMap {
  #bits = new Int32Array(INITIAL_SLOTS * 4);
  #numbers = new Float64Array(this.#bits.buffer);
  #size = 0;

  /** How many fingerprints the map holds. */
  get size(): number {
    return this.#size;
  }

  /** @returns the number, or 0 for an unknown fingerprint. */
  get(key: Fingerprint): number {
    return this.#numbers[2 * this.#slot(key) + 1] as number;
  }

  /** @param value any number but 0. */
  set(key: Fingerprint, value: number): void {
    const slot = this.#slot(key);
    if (this.#numbers[2 * slot + 1] === 0) {
      this.#bits[4 * slot] = key.high;
      this.#bits[4 * slot + 1] = key.low;
      this.#size++;
    }
    this.#numbers[2 * slot + 1] = value;
    if (8 * this.#size > this.#bits.length) this.#grow();
  }

  /** Returns the slot with this fingerprint, or the free slot where it belongs. */
  #slot({ high, low }: Fingerprint): number {
    const bits = this.#bits;
    const last = bits.length / 4 - 1;
    let slot = low & last;
    while (this.#numbers[2 * slot + 1] !== 0 && (bits[4 * slot] !== high || bits[4 * slot + 1] !== low)) {
      slot = (slot + 1) & last;
    }
    return slot;
  }

  #grow(): void {
    const bits = this.#bits;
    const numbers = this.#numbers;
    this.#bits = new Int32Array(bits.length * 2);
    this.#numbers = new Float64Array(this.#bits.buffer);
    this.#size = 0;
    for (let slot = 0; slot < bits.length / 4; slot++) {
      const value = numbers[2 * slot + 1] as number;
      if (value !== 0) this.set({ high: bits[4 * slot] as number, low: bits[4 * slot + 1] as number }, value);
    }
  }
}
