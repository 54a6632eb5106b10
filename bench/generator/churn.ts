import type { Audit } from './audit.ts';
import { Pace } from './pace.ts';
import type { Peer } from './peer.ts';

// How long a visitor stays, in milliseconds: anything in between.
const SHORTEST_STAY = 100;
const LONGEST_STAY = 1900;

/** Clients that come and go while others talk: half of them say goodbye, half are just gone. */
export class Churn {
  came = 0;
  /** Of all who came: what they checked. */
  readonly audits: Audit[] = [];
  /** How many the server closed, or did not let in, with each code. */
  readonly closes: Record<string, number> = {};
  readonly #perSecond: number;
  readonly #random: () => number;
  readonly #visitor: () => Peer;
  readonly #here = new Map<Peer, ReturnType<typeof setTimeout>>();
  #pace: Pace | undefined;

  /** @param perSecond how many come in a second. */
  constructor(perSecond: number, random: () => number, visitor: () => Peer) {
    this.#perSecond = perSecond;
    this.#random = random;
    this.#visitor = visitor;
  }

  start(): void {
    if (this.#perSecond > 0) this.#pace = new Pace(this.#perSecond, () => void this.#come());
  }

  /** Sends all away who are here. */
  stop(): void {
    this.#pace?.stop();
    for (const peer of this.#here.keys()) this.#leave(peer);
  }

  async #come(): Promise<void> {
    const peer = this.#visitor();
    this.came++;
    if (peer.audit) this.audits.push(peer.audit);
    try {
      await peer.open();
    } catch {
      this.closes['refused'] = (this.closes['refused'] ?? 0) + 1;
      return;
    }
    const stay = SHORTEST_STAY + this.#random() * (LONGEST_STAY - SHORTEST_STAY);
    this.#here.set(
      peer,
      setTimeout(() => this.#leave(peer), stay),
    );
  }

  #leave(peer: Peer): void {
    clearTimeout(this.#here.get(peer));
    this.#here.delete(peer);
    if (peer.code !== undefined) this.closes[peer.code] = (this.closes[peer.code] ?? 0) + 1;
    else if (this.#random() < 0.5) void peer.close();
    else peer.cut();
  }
}
