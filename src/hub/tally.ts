import { type Census, Distribution, LAG_BOUNDS } from './meter.ts';
import type { Member } from './room.ts';

/** Counts members by how far they have got. Counting one allocates nothing. */
export class Tally implements Census {
  inStep = 0;
  parked = 0;
  catchingUp = 0;
  readonly lag = new Distribution(LAG_BOUNDS);
  /** Messages that the slowest member is behind, of those counted since `beginRoom`. */
  maxLag = 0;
  #parkedBefore = 0;
  #catchingUpBefore = 0;

  /** Parked members since `beginRoom`. */
  get roomParked(): number {
    return this.parked - this.#parkedBefore;
  }

  /** Members catching up since `beginRoom`. */
  get roomCatchingUp(): number {
    return this.catchingUp - this.#catchingUpBefore;
  }

  /** The next members are those of another room. */
  beginRoom(): void {
    this.maxLag = 0;
    this.#parkedBefore = this.parked;
    this.#catchingUpBefore = this.catchingUp;
  }

  /** Counts the members from index `start` up to `end`, whose room is flushed up to `flushed`. */
  count(members: readonly Member[], flushed: number, start: number, end: number): void {
    for (let i = start; i < end; i++) {
      const { cursor, pump } = members[i] as Member;
      const lag = cursor >= flushed ? 0 : flushed - cursor;
      this.lag.observe(lag);
      if (lag === 0) this.inStep++;
      else if (pump.writable) this.catchingUp++;
      else this.parked++;
      if (lag > this.maxLag) this.maxLag = lag;
    }
  }
}
