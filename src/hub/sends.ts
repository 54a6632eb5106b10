const GENERATIONS = 3;

/** How long, and of how many messages of a room at least, a sender's ids are remembered. */
export interface Dedupe {
  readonly ms: number;
  readonly messages: number;
}

/** What was sent with an id: its `seq`, or 0 while it is on its way into the log. */
export interface Send {
  seq: number;
}

/**
 * What was sent to a room with which id, so that what is sent again is not said again. It forgets in generations: an id is
 * known for the whole window, unless so many came after it that the room may remember no more.
 */
export class Sends {
  readonly #span: number;
  readonly #size: number;
  /** Newest first. */
  #generations: Map<string, Send>[] = [new Map()];
  #startedAt: number;

  constructor({ ms, messages }: Dedupe, now: number) {
    this.#span = ms / (GENERATIONS - 1);
    this.#size = Math.ceil(messages / (GENERATIONS - 1));
    this.#startedAt = now;
  }

  /** @returns undefined when it was not sent or is forgotten. */
  find(sender: string, id: string): Send | undefined {
    const key = keyOf(sender, id);
    for (const generation of this.#generations) {
      const send = generation.get(key);
      if (send !== undefined) return send;
    }
    return undefined;
  }

  /** @param seq 0 for one that is on its way: it is told its `seq` later. */
  remember(sender: string, id: string, seq: number, now: number): Send {
    this.#age(now);
    const send = { seq };
    (this.#generations[0] as Map<string, Send>).set(keyOf(sender, id), send);
    return send;
  }

  /** It was not stored after all. */
  forget(sender: string, id: string): void {
    for (const generation of this.#generations) generation.delete(keyOf(sender, id));
  }

  #age(now: number): void {
    const [newest] = this.#generations as [Map<string, Send>];
    if (now - this.#startedAt < this.#span && newest.size < this.#size) return;
    // After a long silence even the newest is past the window.
    const kept = now - this.#startedAt >= this.#span * GENERATIONS ? [] : this.#generations.slice(0, GENERATIONS - 1);
    this.#generations = [new Map(), ...kept];
    this.#startedAt = now;
  }
}

function keyOf(sender: string, id: string): string {
  return `${sender}\n${id}`;
}
