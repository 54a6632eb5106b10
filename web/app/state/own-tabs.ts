/**
 * Counts the tabs of this browser that are in a room under one name. Each tab holds a shared lock,
 * which the browser releases when the tab closes.
 */
export class OwnTabs {
  #lock = '';
  #release = () => {};

  /** Counts this tab as one in the room. */
  enter(room: string, user: string): void {
    this.leave();
    this.#lock = `pumphouse.chat ${JSON.stringify([room, user])}`;
    const held = new Promise<void>((release) => {
      this.#release = release;
    });
    void locks()?.request(this.#lock, { mode: 'shared' }, () => held);
  }

  leave(): void {
    this.#release();
  }

  /** Returns the number of tabs, this one included; 1 if the browser cannot count them. */
  async count(): Promise<number> {
    const { held = [] } = (await locks()?.query()) ?? {};
    return Math.max(1, held.filter(({ name }) => name === this.#lock).length);
  }
}

/** Returns undefined in a page over plain HTTP, which has no locks. */
function locks(): LockManager | undefined {
  return globalThis.navigator?.locks;
}
