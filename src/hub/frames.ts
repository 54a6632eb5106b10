import { type Frame, MAX_FRAME_BYTES, MAX_STEP_BYTES } from './ports.ts';
import type { Group } from './room.ts';

// At most 64 × 64 KiB of encoded frames in one turn, at however many places those stand who read on.
const KEPT = 64;

/** The frame for the members of `group` who have everything up to `from` and are in step. */
export function stepFrame({ room, encoder }: Group, from: number): Frame {
  return encoder.encode(room.name, room.log, from, MAX_STEP_BYTES);
}

/** The frames that those who read on are handed in one turn, each encoded once however many stand at its place. */
export class Frames {
  readonly #byGroup = new Map<Group, Map<number, Frame>>();
  #size = 0;

  /** The frame for the members of `group` who have everything up to `from`. */
  get(group: Group, from: number): Frame {
    const known = this.#byGroup.get(group)?.get(from);
    if (known) return known;
    const frame = group.encoder.encode(group.room.name, group.room.recordsAfter(from), from, MAX_FRAME_BYTES);
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
