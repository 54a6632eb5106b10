import type { Audit } from './audit.ts';
import { Pace } from './pace.ts';
import type { Peer } from './peer.ts';

// A visitor stays for a random time between these, in milliseconds.
const MIN_STAY_MS = 100;
const MAX_STAY_MS = 1900;

/**
 * Clients that connect and leave during the load. Half of them send a close frame, half just
 * disconnect.
 */
export class Churn {
  visits = 0;
  /** The audits of all visitors. */
  readonly audits: Audit[] = [];
  /** How many visitors the server closed, by code, or did not accept. */
  readonly closes: Record<string, number> = {};
  readonly #perSecond: number;
  readonly #random: () => number;
  readonly #createVisitor: () => Peer;
  readonly #present = new Map<Peer, ReturnType<typeof setTimeout>>();
  #pace: Pace | undefined;

  /** @param perSecond how many visitors connect per second. */
  constructor(perSecond: number, random: () => number, createVisitor: () => Peer) {
    this.#perSecond = perSecond;
    this.#random = random;
    this.#createVisitor = createVisitor;
  }

  start(): void {
    if (this.#perSecond > 0) this.#pace = new Pace(this.#perSecond, () => void this.#visit());
  }

  /** Ends all visits. */
  stop(): void {
    this.#pace?.stop();
    for (const peer of this.#present.keys()) this.#leave(peer);
  }

  async #visit(): Promise<void> {
    const peer = this.#createVisitor();
    this.visits++;
    if (peer.audit) this.audits.push(peer.audit);
    try {
      await peer.open();
    } catch {
      this.closes['refused'] = (this.closes['refused'] ?? 0) + 1;
      return;
    }
    const stay = MIN_STAY_MS + this.#random() * (MAX_STAY_MS - MIN_STAY_MS);
    this.#present.set(
      peer,
      setTimeout(() => this.#leave(peer), stay),
    );
  }

  #leave(peer: Peer): void {
    clearTimeout(this.#present.get(peer));
    this.#present.delete(peer);
    if (peer.closeCode !== undefined) this.closes[peer.closeCode] = (this.closes[peer.closeCode] ?? 0) + 1;
    else if (this.#random() < 0.5) void peer.close();
    else peer.disconnect();
  }
}
