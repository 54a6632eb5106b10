import { errors } from '../protocol/v1.ts';
import type { Notices } from './notices.ts';
import type { Clock, Draft, LogRecord } from './ports.ts';
import type { Room } from './room.ts';
import { ON_ITS_WAY } from './sends.ts';

/**
 * Answers senders: each draft with one `sent` or one error, once the engine has decided. What was sent before with the same
 * id gets the first one's `seq`, and is not said again.
 */
export class Receipts {
  readonly #notices: Notices;
  readonly #clock: Clock;
  /** Sent again while the first was on its way, by the first. */
  readonly #waiting = new Map<string, Draft[]>();

  constructor(notices: Notices, clock: Clock) {
    this.#notices = notices;
    this.#clock = clock;
  }

  /**
   * Takes a draft up for its room, unless it was sent before: then it is answered now, or with the first.
   * @returns whether it must be said.
   */
  take(room: Room, draft: Draft): boolean {
    const { sender, id } = draft;
    if (sender === undefined || id === '') {
      room.pending.push(draft);
      return true;
    }
    const before = room.sends.find(sender, id);
    if (before === undefined) {
      room.pending.push(draft);
      room.sends.remember(sender, id, ON_ITS_WAY, this.#clock.now());
    } else if (before === ON_ITS_WAY) this.#wait(draft);
    else this.#sent(draft, before, true);
    return before === undefined;
  }

  /** The engine has committed the oldest of the room's drafts as these records. */
  committed(room: Room, records: readonly LogRecord[]): void {
    const drafts = room.appended.splice(0, records.length);
    for (let i = 0; i < drafts.length; i++) {
      const draft = drafts[i] as Draft;
      if (draft.id === '') continue;
      const { seq } = records[i] as LogRecord;
      this.#sent(draft, seq, false);
      if (draft.sender === undefined) continue;
      room.sends.stored(draft.sender, draft.id, seq);
      for (const again of this.#again(draft)) this.#sent(again, seq, true);
    }
  }

  /** The engine has not stored the oldest `count` of the room's drafts. */
  failed(room: Room, count: number): void {
    for (const draft of room.appended.splice(0, count)) {
      if (draft.sender !== undefined) room.sends.forget(draft.sender, draft.id);
      for (const one of [draft, ...this.#again(draft)]) this.#unavailable(one);
    }
  }

  #sent({ by, room, id }: Draft, seq: number, duplicate: boolean): void {
    if (!by || by.closed) return;
    this.#notices.tell(by, duplicate ? { t: 'sent', room, id, seq, duplicate } : { t: 'sent', room, id, seq });
  }

  #unavailable({ by, room, id }: Draft): void {
    if (by && !by.closed) this.#notices.tell(by, { t: 'error', code: 'unavailable', ...errors.unavailable, id, room });
  }

  #wait(draft: Draft): void {
    const waiting = this.#waiting.get(keyOf(draft));
    if (waiting) waiting.push(draft);
    else this.#waiting.set(keyOf(draft), [draft]);
  }

  #again(draft: Draft): Draft[] {
    if (this.#waiting.size === 0) return [];
    const waiting = this.#waiting.get(keyOf(draft)) ?? [];
    this.#waiting.delete(keyOf(draft));
    return waiting;
  }
}

function keyOf({ room, sender, id }: Draft): string {
  return `${room}\n${sender}\n${id}`;
}
