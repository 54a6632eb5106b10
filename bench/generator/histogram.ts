// Exact below this, and in steps of less than a hundredth above it.
const EXACT = 256;
const STEPS = EXACT / 2;
const OCTAVES = 24;
const LARGEST = EXACT * 2 ** OCTAVES - 1;

/** The counts of a histogram, as it travels between processes: pairs of a place and its count. */
export type Counts = readonly (readonly [place: number, count: number])[];

/**
 * How often each duration was seen, in whole microseconds up to 71 minutes, within 0.8 % of it. Node's own does not travel
 * between processes, and tells percentiles alone.
 */
export class Histogram {
  count = 0;
  #largest = 0;
  readonly #counts = new Float64Array(EXACT + OCTAVES * STEPS);

  /** @param milliseconds since something was due. */
  record(milliseconds: number): void {
    const micros = Math.min(LARGEST, Math.max(0, Math.round(milliseconds * 1000)));
    this.#add(placeOf(micros), 1);
    if (micros > this.#largest) this.#largest = micros;
  }

  reset(): void {
    this.count = 0;
    this.#largest = 0;
    this.#counts.fill(0);
  }

  counts(): Counts {
    return [...this.#counts].flatMap((count, place) => (count > 0 ? [[place, count] as const] : []));
  }

  /** Adds what another one has counted. */
  merge(counts: Counts, largest: number): void {
    for (const [place, count] of counts) this.#add(place, count);
    this.#largest = Math.max(this.#largest, largest * 1000);
  }

  /** Milliseconds; 0 where nothing was recorded. */
  get max(): number {
    return this.#largest / 1000;
  }

  /** @param percent from 0 to 100. @returns milliseconds that so many were not above of; 0 where nothing was recorded. */
  percentile(percent: number): number {
    let left = Math.ceil((this.count * percent) / 100);
    if (left === 0) return 0;
    for (let place = 0; place < this.#counts.length; place++) {
      left -= this.#counts[place] as number;
      if (left <= 0) return Math.min(highest(place), this.#largest) / 1000;
    }
    return this.max;
  }

  #add(place: number, count: number): void {
    this.count += count;
    this.#counts[place] = (this.#counts[place] as number) + count;
  }
}

function placeOf(micros: number): number {
  if (micros < EXACT) return micros;
  const octave = 31 - Math.clz32(micros) - 7;
  return EXACT + (octave - 1) * STEPS + (Math.floor(micros / 2 ** octave) - STEPS);
}

/** The largest number that is counted at a place. */
function highest(place: number): number {
  if (place < EXACT) return place;
  const octave = Math.floor((place - EXACT) / STEPS) + 1;
  const step = ((place - EXACT) % STEPS) + STEPS;
  return (step + 1) * 2 ** octave - 1;
}
