/** What the names of all locks of the chat start with. The key follows, as JSON. */
export const LOCK_PREFIX = 'pumphouse.chat ';

/**
 * A lock that a tab shares. Its key tells the other tabs of this browser what the tab does. The
 * browser releases it when the tab closes.
 */
export class TabLock {
  #name = '';
  #release = () => {};

  /** Holds a lock, in place of the one before. */
  hold(...key: readonly unknown[]): void {
    const name = LOCK_PREFIX + JSON.stringify(key);
    if (name === this.#name) return;
    const releasePrevious = this.#release;
    this.#name = name;
    const held = new Promise<void>((release) => {
      this.#release = release;
    });
    void locks()?.request(name, { mode: 'shared' }, () => held);
    releasePrevious();
  }

  release(): void {
    this.#release();
    this.#name = '';
  }

  /** Returns how many tabs hold the lock, this one included; 1 if the browser cannot count them. */
  async count(): Promise<number> {
    const { held = [] } = (await locks()?.query()) ?? {};
    return Math.max(1, held.filter(({ name }) => name === this.#name).length);
  }
}

/** Returns undefined in a page over plain HTTP, which has no locks. */
function locks(): LockManager | undefined {
  return globalThis.navigator?.locks;
}
