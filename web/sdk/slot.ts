import type { Store } from './types.ts';

/** What outlives the program: who one is, and what is not sent yet. */
interface Saved {
  /** The secret by which the session goes on. */
  readonly resume?: string | undefined;
  readonly outbox?: readonly Item[];
}

/** A message of one's own that is not answered yet. `json` is its data. */
export interface Item {
  readonly room: string;
  readonly id: string;
  readonly json: string;
}

/** One place in a store. */
export interface Slot {
  load(): Saved;
  save(saved: Saved): void;
  /** Lets another take it. */
  release(): void;
}

// So many tabs of one server have a place of their own.
const PLACES = 100;

const nowhere: Slot = { load: () => ({}), save() {}, release() {} };

/**
 * Takes a place in the store. Two pages of a browser must not share one: they would be the same session. A page that is
 * reloaded has its own again, and a new one takes the first that no living page has, with what was left there.
 *
 * @param store the browser's own when undefined.
 */
export async function openSlot(name: string, store: Store | false | undefined): Promise<Slot> {
  if (store) return slotIn(store, name, () => {});
  if (store === false || !isBrowser()) return nowhere;
  try {
    return navigator.locks ? await firstFree(name) : slotIn(sessionStorage, name, () => {});
  } catch {
    return nowhere; // the browser forbids it
  }
}

async function firstFree(name: string): Promise<Slot> {
  const mine = sessionStorage.getItem(name);
  for (let place = -1; place < PLACES; place++) {
    const key = place < 0 ? mine : `${name}#${place}`;
    const release = key && (await lock(key));
    if (!release) continue;
    sessionStorage.setItem(name, key);
    return slotIn(localStorage, key, release);
  }
  return nowhere;
}

/** @returns what ends the lock, or undefined when another page holds it. A page's locks end with it. */
function lock(name: string): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    const held = (granted: unknown) => {
      if (!granted) return resolve(undefined);
      return new Promise<void>((release) => resolve(release));
    };
    navigator.locks.request(name, { ifAvailable: true }, held).catch(reject);
  });
}

function slotIn(store: Store, key: string, release: () => void): Slot {
  return {
    load() {
      try {
        return (JSON.parse(store.getItem(key) ?? '{}') ?? {}) as Saved;
      } catch {
        return {};
      }
    },
    save(saved) {
      try {
        store.setItem(key, JSON.stringify(saved));
      } catch {
        // It is full or forbidden: what waits is still sent, as long as the program lives.
      }
    },
    release,
  };
}

function isBrowser(): boolean {
  return typeof window !== 'undefined' && typeof sessionStorage !== 'undefined';
}
