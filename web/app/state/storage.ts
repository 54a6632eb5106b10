import type { Place } from '../../sdk/index.ts';
import type { RejectedChange } from './unsaved-change.ts';

/** State that the browser stores for all tabs and later visits. */
export interface Stored {
  readonly name: string;
  /** The joined rooms, the one that was opened last first. */
  readonly rooms: readonly string[];
  /** The last message seen, by room. */
  readonly seen: Readonly<Record<string, Place>>;
  /** Whether notifications are on. */
  readonly notify: boolean;
  /** Whether messages that name the user notify, also if notifications are off. */
  readonly notifyMentions: boolean;
  /** Identifies this browser: a random string. Empty until a message can be sent. */
  readonly browser: string;
}

const KEY = 'pumphouse.chat';
const EMPTY: Stored = { name: '', rooms: [], seen: {}, notify: false, notifyMentions: false, browser: '' };

/** Reads the stored state. Invalid fields get their defaults. */
export function loadStored(): Stored {
  const stored = read(getLocalStorage, KEY) as Partial<Record<keyof Stored, unknown>>;
  const { name, rooms, seen, notify, notifyMentions, browser } = stored;
  return {
    name: typeof name === 'string' ? name : '',
    rooms: Array.isArray(rooms) ? rooms.filter((room) => typeof room === 'string') : [],
    seen: Object.fromEntries(Object.entries(isObject(seen) ? seen : {}).filter(([, place]) => isPlace(place))),
    notify: notify === true,
    notifyMentions: notifyMentions === true,
    browser: typeof browser === 'string' && BROWSER_ID.test(browser) ? browser : '',
  };
}

const BROWSER_ID = /^[a-z\d]{10}$/;
// Used if the browser does not store anything.
let temporaryId = '';

/** Returns the id of this browser, which is random. Creates it on the first call. */
export function browserId(): string {
  const stored = loadStored().browser || temporaryId;
  if (stored !== '') return stored;
  const letters = [...crypto.getRandomValues(new Uint8Array(10))].map((byte) => (byte % 36).toString(36));
  temporaryId = letters.join('');
  updateStored(() => ({ browser: temporaryId }));
  return temporaryId;
}

/** Updates the stored state. `change` receives the current state of all tabs. */
export function updateStored(change: (stored: Stored) => Partial<Stored>): void {
  const stored = loadStored();
  write(getLocalStorage, KEY, { ...EMPTY, ...stored, ...change(stored) });
}

/** Calls `listener` when another tab changes the stored state. */
export function onStoredChange(listener: (stored: Stored) => void): void {
  addEventListener('storage', ({ key }) => {
    if (key === KEY || key === null) listener(loadStored());
  });
}

/** The unsent text of one room, stored per tab. It survives a reload. */
export interface Unsent {
  readonly draft: string;
  /** Messages that the server rejected, with the reason. */
  readonly failed: readonly { readonly text: string; readonly why: string; readonly reply?: number | undefined }[];
}

export function loadUnsent(room: string): Unsent {
  const { draft, failed } = read(getSessionStorage, `${KEY} ${room}`) as Partial<Record<keyof Unsent, unknown>>;
  return {
    draft: typeof draft === 'string' ? draft : '',
    failed: Array.isArray(failed) ? failed.filter(isFailure) : [],
  };
}

export function saveUnsent(room: string, unsent: Unsent): void {
  const empty = unsent.draft === '' && unsent.failed.length === 0;
  write(getSessionStorage, `${KEY} ${room}`, empty ? undefined : unsent);
}

/** Returns what is stored of the changes of one room that the server rejected, per tab. */
export function loadRejected(room: string): unknown[] {
  return Object.values(read(getSessionStorage, REJECTED + room));
}

export function saveRejected(room: string, rejected: readonly RejectedChange[]): void {
  write(getSessionStorage, REJECTED + room, rejected.length === 0 ? undefined : rejected);
}

const REJECTED = 'pumphouse.rejected ';

// Access throws if the browser blocks the storage, and writing throws if it is full. These errors
// are ignored: the chat works without storage.
const getLocalStorage = () => localStorage;
const getSessionStorage = () => sessionStorage;

function read(store: () => Storage, key: string): object {
  try {
    const value: unknown = JSON.parse(store().getItem(key) ?? '{}');
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

function write(store: () => Storage, key: string, value: object | undefined): void {
  try {
    if (value === undefined) store().removeItem(key);
    else store().setItem(key, JSON.stringify(value));
  } catch {
    // The value is not stored.
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function isPlace(value: unknown): value is Place {
  const { epoch, seq } = (isObject(value) ? value : {}) as Partial<Place>;
  return typeof epoch === 'string' && Number.isSafeInteger(seq);
}

function isFailure(value: unknown): value is Unsent['failed'][number] {
  const { text, why, reply = 1 } = (isObject(value) ? value : {}) as Partial<Unsent['failed'][number]>;
  return typeof text === 'string' && typeof why === 'string' && Number.isSafeInteger(reply);
}
