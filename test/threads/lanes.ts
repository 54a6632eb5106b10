import type { Random } from '../simulation/virtual.ts';
import type { Later } from './ports.ts';

/**
 * Work of several threads and connections: in order within a lane, in a random order among them. As
 * in Node, the reactions to a promise run before the next work.
 */
export class Lanes {
  readonly #random: Random;
  readonly #lanes = new Map<string, (() => void)[]>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** Returns a function that adds work to a lane. */
  lane(name: string): Later {
    const works: (() => void)[] = [];
    this.#lanes.set(name, works);
    return (work) => void works.push(work);
  }

  /** Runs one work. @returns false if there was none. */
  async step(): Promise<boolean> {
    const busy = [...this.#lanes.values()].filter((works) => works.length > 0);
    if (busy.length === 0) return false;
    this.#random.pick(busy).shift()?.();
    await react();
    return true;
  }

  /** Runs all work, and what it adds. */
  async drain(): Promise<void> {
    await react();
    for (let steps = 0; await this.step(); steps++) if (steps > 100_000) throw new Error('the work does not end');
  }
}

/** Runs the reactions to the promises that are settled. */
function react(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
