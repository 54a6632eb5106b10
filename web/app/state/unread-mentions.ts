import { type ChangeRecord, fold } from './changes.ts';
import type { ReadState } from './read-state.ts';
import { type MessageEntry, PAGE_SIZE, type Page } from './timeline.ts';

/** What counting needs of a conversation. */
interface CountedRoom {
  readonly readState: ReadState;
  readonly incoming: { readonly listeners: Set<(changes: readonly ChangeRecord[] | undefined) => void> };
  readonly history: {
    loadedMessage(seq: number): MessageEntry | undefined;
    request(range: { readonly before: number; readonly limit: number }, epoch: string): Promise<Page | undefined>;
    count(page: Page): void;
  };
  countChanged(message: MessageEntry): void;
}

/** The maximum number of messages that are read to count those of one room. */
const MAX_MESSAGES = 500;
/** How long an idle moment may take to come, in milliseconds. */
const MAX_WAIT_MS = 2_000;
/** How long to wait where the browser does not report idle moments, in milliseconds. */
const PAUSE_MS = 200;

/** The rooms that are counted or wait for it. */
const queued = new WeakSet<CountedRoom>();
/** The rooms whose changes are counted. */
const followed = new WeakSet<CountedRoom>();
/** Ends when all rooms are counted. One request at a time leaves the connection to the reader. */
let queue = Promise.resolve();

/**
 * Reads the unread messages of a room that are not loaded, the latest first, and counts them and
 * their mentions. The messages shown stay as they are.
 */
export function countUnread(room: CountedRoom): void {
  if (queued.has(room)) return;
  queued.add(room);
  follow(room);
  queue = queue.then(async () => {
    await readUnread(room);
    queued.delete(room);
  });
}

async function readUnread(room: CountedRoom): Promise<void> {
  for (let left = MAX_MESSAGES; left > 0; left -= PAGE_SIZE) {
    await nextIdleMoment();
    const place = room.readState.uncountedBefore;
    if (!place) return;
    try {
      const page = await room.history.request({ before: place.seq, limit: PAGE_SIZE }, place.epoch);
      if (page) room.history.count(page);
      if (page && !page.more) return;
    } catch {
      // The room was left, or another hub takes over: the next attempt uses that.
    }
  }
}

/** Counts the changes of messages that are not loaded, which the room itself does not. */
function follow(room: CountedRoom): void {
  if (followed.has(room)) return;
  followed.add(room);
  room.incoming.listeners.add((changes = []) => {
    for (const change of changes) if (!room.history.loadedMessage(change.of)) countChange(room, change);
  });
}

function countChange(room: CountedRoom, change: ChangeRecord): void {
  const { op, of: seq, epoch, id, from, at } = change;
  // Only the author edits a message, so the edit has what identifies the author.
  if (op === 'edit' || op === 'delete')
    room.countChanged(fold({ kind: 'message', key: '', epoch, seq, id, from, at, text: '' }, change));
}

function nextIdleMoment(): Promise<void> {
  return new Promise((resolve) => {
    if ('requestIdleCallback' in globalThis) requestIdleCallback(() => resolve(), { timeout: MAX_WAIT_MS });
    else setTimeout(resolve, PAUSE_MS);
  });
}
