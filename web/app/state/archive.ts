import { loadStored } from './storage.ts';
import type { MessageEntry } from './timeline.ts';

const DATABASE = 'pumphouse.chat';
const STORE = 'rooms';

/** The maximum number of messages that are stored for a room. */
export const MAX_ARCHIVED = 100;
/** The maximum length of their texts together, in UTF-16 code units. */
const MAX_LENGTH = 250_000;
/** The maximum number of rooms. */
const MAX_ROOMS = 50;

/**
 * The last messages of each room, in the browser's database, to show without a network. Errors are
 * ignored: the chat works without storage.
 */
export async function archive(room: string, messages: readonly MessageEntry[]): Promise<void> {
  // Another tab may have signed out: nothing is stored then.
  const { name, rooms } = loadStored();
  if (name === '' || !rooms.slice(0, MAX_ROOMS).includes(room)) return;
  let length = 0;
  const kept = messages
    .slice(-MAX_ARCHIVED)
    .toReversed()
    .filter(({ text }) => {
      length += text.length;
      return length <= MAX_LENGTH;
    });
  await use('readwrite', (store) => store.put(kept.toReversed(), room));
}

/** Returns the stored messages of a room, oldest first. */
export async function archived(room: string): Promise<readonly MessageEntry[]> {
  const messages: unknown = await use('readonly', (store) => store.get(room));
  return Array.isArray(messages) ? messages.filter(isMessage) : [];
}

/** Removes the stored messages of a room. */
export async function forgetRoom(room: string): Promise<void> {
  await use('readwrite', (store) => store.delete(room));
}

/** Removes all stored messages. */
export async function forgetAll(): Promise<void> {
  await use('readwrite', (store) => store.clear());
}

function isMessage(value: unknown): value is MessageEntry {
  const message = (typeof value === 'object' && value !== null ? value : {}) as Partial<MessageEntry>;
  const { kind, key, epoch, seq, id, from, at, text, reactions = [] } = message;
  const strings = [key, epoch, id, from, text].every((each) => typeof each === 'string');
  return (
    kind === 'message' && strings && Array.isArray(reactions) && Number.isSafeInteger(seq) && typeof at === 'number'
  );
}

async function use<T>(
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T | undefined> {
  try {
    const database = await open();
    try {
      return await resultOf(work(database.transaction(STORE, mode).objectStore(STORE)));
    } finally {
      database.close();
    }
  } catch {
    return undefined;
  }
}

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return resultOf(request);
}

function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
