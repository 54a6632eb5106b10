import type { Plan } from '../plan.ts';
import { Histogram } from './histogram.ts';
import type { MessageId } from './message.ts';

// A client that is further behind a sender is measured by a later message: a lower bound.
const MAX_KEPT = 16_384;

/**
 * Measures the time from when a message was due until a client of another node receives it. A
 * sender's round trip does not show it: a node may deliver its own messages without the others.
 */
export class Crossings {
  readonly times = new Histogram();
  readonly #plan: Plan;
  /** By sender, the due time of each of its last messages. */
  readonly #dueTimes = new Map<number, number[]>();

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  /** Records that a client of this generator sent message number `seq`. */
  sent(sender: number, seq: number, due: number): void {
    let times = this.#dueTimes.get(sender);
    if (!times) {
      times = [];
      this.#dueTimes.set(sender, times);
    }
    times[seq % MAX_KEPT] = due;
  }

  /** Records that a client received a message. Senders of other generators are left out. */
  received({ sender, seq }: MessageId, client: number): void {
    if (this.#plan.nodeOf(sender) === this.#plan.nodeOf(client)) return;
    const due = this.#dueTimes.get(sender)?.[seq % MAX_KEPT];
    if (due !== undefined) this.times.record(performance.now() - due);
  }
}
