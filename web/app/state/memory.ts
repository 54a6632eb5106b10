import type { Place } from '../../sdk/index.ts';

/** What a browser remembers, for all its tabs and the next visit. */
export interface Memory {
  readonly name: string;
  readonly rooms: readonly string[];
  /** Up to where each room has been seen. */
  readonly seen: Readonly<Record<string, Place>>;
  /** Whether notifications were asked for. */
  readonly notify: boolean;
}

const KEY = 'pumphouse.chat';
const nothing: Memory = { name: '', rooms: [], seen: {}, notify: false };

/** What is remembered: of a store that holds something else, what is usable. */
export function recall(): Memory {
  const { name, rooms, seen, notify } = read(localStorageOf, KEY) as Partial<Record<keyof Memory, unknown>>;
  return {
    name: typeof name === 'string' ? name : '',
    rooms: Array.isArray(rooms) ? rooms.filter((room) => typeof room === 'string') : [],
    seen: Object.fromEntries(Object.entries(isObject(seen) ? seen : {}).filter(([, place]) => isPlace(place))),
    notify: notify === true,
  };
}

/** Changes what is remembered, with what other tabs remembered meanwhile. */
export function remember(change: (memory: Memory) => Partial<Memory>): void {
  const memory = recall();
  write(localStorageOf, KEY, { ...nothing, ...memory, ...change(memory) });
}

/** Calls `changed` when another tab has remembered something. */
export function onRemembered(changed: (memory: Memory) => void): void {
  addEventListener('storage', ({ key }) => {
    if (key === KEY || key === null) changed(recall());
  });
}

/** What someone typed in a room and is not sent: of one tab, and it survives a reload. */
export interface Unsent {
  readonly draft: string;
  /** What the server would not take. */
  readonly failed: readonly { readonly text: string; readonly why: string }[];
}

export function recallUnsent(room: string): Unsent {
  const { draft, failed } = read(sessionStorageOf, `${KEY} ${room}`) as Partial<Record<keyof Unsent, unknown>>;
  return {
    draft: typeof draft === 'string' ? draft : '',
    failed: Array.isArray(failed) ? failed.filter(isFailure) : [],
  };
}

export function rememberUnsent(room: string, unsent: Unsent): void {
  const empty = unsent.draft === '' && unsent.failed.length === 0;
  write(sessionStorageOf, `${KEY} ${room}`, empty ? undefined : unsent);
}

const localStorageOf = () => localStorage;
const sessionStorageOf = () => sessionStorage;

// A browser may forbid its stores, or they may be full: then nothing is remembered, and all else works.

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
    // It is not remembered.
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
  const { text, why } = (isObject(value) ? value : {}) as Partial<Unsent['failed'][number]>;
  return typeof text === 'string' && typeof why === 'string';
}
