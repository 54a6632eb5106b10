/**
 * What a sender and its id for a message are remembered by: 64 bits, of which no sender can tell what they will be. That two
 * messages of a room share them by chance is less likely than that its memory fails.
 */
export interface Fingerprint {
  high: number;
  low: number;
}

const [HIGH_SEED, LOW_SEED] = crypto.getRandomValues(new Int32Array(2)) as unknown as [number, number];

/** Writes the fingerprint of `sender` and `id` to `to`, which a caller keeps: nothing is allocated. */
export function fingerprint(sender: string, id: string, to: Fingerprint): void {
  to.high = HIGH_SEED ^ sender.length; // so that names and ids that run together are told apart
  to.low = LOW_SEED ^ id.length;
  mix(sender, to);
  mix(id, to);
  to.high = scatter(to.high);
  to.low = scatter(to.low ^ to.high);
}

/** Two hashes of 32 bits in the manner of MurmurHash3, side by side and with multipliers of their own. */
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

const SMALLEST = 16;

/**
 * A map from fingerprints to numbers, in one buffer: no object an entry, nothing that the garbage collector must walk. A
 * slot has 16 bytes, the fingerprint and the number; 0 marks a free one. It is never more than half full.
 */
export class FingerprintMap {
  #bits = new Int32Array(SMALLEST * 4);
  #numbers = new Float64Array(this.#bits.buffer);
  #size = 0;

  /** How many fingerprints it holds. */
  get size(): number {
    return this.#size;
  }

  /** @returns 0 for a fingerprint that it does not hold. */
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

  /** The slot with this fingerprint, or the free one where it belongs. */
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
