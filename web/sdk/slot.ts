import type { SendOptions, Store } from './types.ts';

/** The state kept across restarts of the program. */
interface SavedState {
  /** The secret that resumes the session. */
  readonly resume?: string | undefined;
  readonly outbox?: readonly Item[];
}

/** A message or change that the server has not acknowledged. `json` is its data as JSON text. */
export interface Item {
  readonly room: string;
  readonly id: string;
  readonly json: string;
  /** The other fields of its `send`. */
  readonly more?: SendOptions | undefined;
}

/** One key in a store, used by one hub at a time. */
export interface Slot {
  load(): SavedState;
  save(state: SavedState): void;
  /** Lets another page claim the slot. */
  release(): void;
}

// How many tabs of one browser can have a slot for the same server and user.
const MAX_SLOTS = 100;

/**
 * Claims a slot in the store. Two pages of a browser must not share a slot, since both would resume
 * the same session. A reloaded page claims its previous slot. A new page claims the first slot that
 * no open page holds, and inherits the state saved there.
 *
 * @param store undefined for the browser's own; `false` for none.
 */
export async function openSlot(name: string, store: Store | false | undefined): Promise<Slot> {
  try {
    if (store === undefined && globalThis.window) {
      return navigator.locks ? await claimFirstFree(name) : slotIn(sessionStorage, name);
    }
  } catch {
    // There is no storage, or the browser denies access to it.
  }
  return slotIn(store, name);
}

async function claimFirstFree(name: string): Promise<Slot> {
  const previous = sessionStorage.getItem(name);
  for (let index = -1; index < MAX_SLOTS; index++) {
    const key = index < 0 ? previous : `${name}#${index}`;
    const release = key && (await lock(key));
    if (!release) continue;
    sessionStorage.setItem(name, key);
    return slotIn(localStorage, key, release);
  }
  return slotIn(undefined, name);
}

/**
 * Locks `name`. The browser releases the lock when the page closes.
 *
 * @returns a function that releases the lock, or undefined if another page holds it.
 */
function lock(name: string): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    const onLock = (granted: unknown) => (granted ? new Promise<void>(resolve) : resolve(undefined));
    navigator.locks.request(name, { ifAvailable: true }, onLock).catch(reject);
  });
}

/** @param store without one every access fails, which a slot survives. */
function slotIn(store: Store | false | undefined, key: string, release = () => {}): Slot {
  return {
    load() {
      try {
        return (JSON.parse((store as Store).getItem(key) as string) ?? {}) as SavedState;
      } catch {
        return {};
      }
    },
    save(state) {
      try {
        (store as Store).setItem(key, JSON.stringify(state));
      } catch {
        // The store is full or denied. Messages are still sent, but not kept across restarts.
      }
    },
    release,
  };
}
