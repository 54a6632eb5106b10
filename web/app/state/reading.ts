import { signal } from '@preact/signals';
import type { Place } from '../../sdk/index.ts';
import { onFrame } from './frames.ts';
import { recall, remember } from './memory.ts';

/** How far a room has been read: what is seen counts as read, in every tab. */
export class Reading {
  /** How many messages have not been seen. */
  readonly unread = signal(0);
  /** After which the unread ones began when the room was opened; undefined: all was read. */
  readonly line = signal<Place | undefined>(undefined);
  /** Messages that have come since someone began to read back. */
  readonly below = signal(0);
  /** Whether someone stands at the newest message, and has not gone back from it. */
  atLatest = true;
  looking = false;
  readonly #room: string;
  readonly #shown: (seq: number) => void;
  readonly #save = onFrame(() => this.#remember());
  #seen: Place | undefined;
  /** The newest message. */
  #head: Place | undefined;
  /** Whether what was said before one came is there: until then nothing counts as seen. */
  #ready = false;

  /** @param shown is told how far the messages have been seen. */
  constructor(room: string, shown: (seq: number) => void) {
    this.#room = room;
    this.#shown = shown;
    this.#seen = recall().seen[room];
  }

  /** One has come into the room, at `head`. Who was never in it has not missed anything. */
  begin(head: Place): void {
    if (this.#seen?.epoch !== head.epoch) this.#seen = head;
    this.reach(head);
  }

  /** All that was there is shown. */
  settle(): void {
    this.#ready = true;
    if (this.looking && this.unread.value > 0) this.line.value = this.#seen;
    this.#read();
  }

  /** `head` is the newest message. */
  reach(head: Place | undefined): void {
    this.#head = head;
    this.#read();
  }

  /** The room is looked at, or no more: what is unread then is marked. */
  look(looking: boolean): void {
    this.looking = looking;
    if (looking) this.line.value = this.unread.value > 0 ? this.#seen : undefined;
    this.#read();
  }

  stand(atLatest: boolean): void {
    this.atLatest = atLatest;
    this.#read();
  }

  /** Another tab may have seen more. */
  seenElsewhere(place: Place): void {
    if (this.#hasSeen(place)) return;
    this.#seen = place;
    this.#count();
  }

  #read(): void {
    if (this.looking && this.atLatest) {
      this.below.value = 0;
      if (this.#head && this.#ready && !this.#hasSeen(this.#head)) {
        this.#seen = this.#head;
        this.#shown(this.#head.seq);
        this.#save();
      }
    }
    this.#count();
  }

  #hasSeen({ epoch, seq }: Place): boolean {
    return this.#seen !== undefined && this.#seen.epoch === epoch && this.#seen.seq >= seq;
  }

  #count(): void {
    if (!this.#head || !this.#seen) return;
    const since = this.#head.epoch === this.#seen.epoch ? this.#head.seq - this.#seen.seq : 0;
    this.unread.value = Math.max(0, since);
  }

  #remember(): void {
    const seen = this.#seen;
    if (seen) remember((memory) => ({ seen: { ...memory.seen, [this.#room]: seen } }));
  }
}
