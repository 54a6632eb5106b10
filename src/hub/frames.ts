import type { Frame } from './ports.ts';
import type { Group } from './room.ts';

// At most 64 × 64 KiB of encoded frames in one turn, however many members stand at however many places.
const KEPT = 64;

/** The frames of one turn, each encoded once however many members are handed it. */
export class Frames {
  readonly #byGroup = new Map<Group, Map<number, Frame>>();
  #size = 0;

  /** The frame for the members of `group` who have everything up to `from`. */
  get(group: Group, from: number): Frame {
    const known = this.#byGroup.get(group)?.get(from);
    if (known) return known;
    const frame = group.encoder.encode(group.room.name, group.room.recordsAfter(from), from);
    if (this.#size === KEPT) this.forget();
    const frames = this.#byGroup.get(group);
    if (frames) frames.set(from, frame);
    else this.#byGroup.set(group, new Map([[from, frame]]));
    this.#size++;
    return frame;
  }

  /** At the end of a turn: in a later one a frame would hold more records. */
  forget(): void {
    if (this.#size === 0) return;
    this.#byGroup.clear();
    this.#size = 0;
  }
}
