import type { HubError } from '../../sdk/index.ts';
import { type MessageEntry, PAGE_SIZE, type Page, type Timeline } from './timeline.ts';

/** What reading again needs of a conversation. */
interface RereadRoom {
  readonly epoch: string;
  readonly timeline: Timeline;
  readonly revision: { value: number };
  readonly history: {
    request(range: { readonly after: number; readonly limit: number }, epoch: string): Promise<Page | undefined>;
  };
  countChanged(message: MessageEntry): void;
}

/** How long to collect the messages to read again, in milliseconds. */
const DELAY_MS = 1_000;

/** The messages to read again, by their numbers. */
const stale = new WeakMap<RereadRoom, Set<number>>();

/** Reads messages by their numbers, in ascending order. The server may not have all. */
export async function readMessages(room: RereadRoom, seqs: readonly number[]): Promise<readonly MessageEntry[]> {
  const { epoch } = room;
  const found: MessageEntry[] = [];
  let next = 0;
  for (const seq of seqs) {
    if (seq < next) continue;
    const limit = Math.min(PAGE_SIZE, (seqs.at(-1) ?? seq) - seq + 1);
    const page = await room.history.request({ after: seq - 1, limit }, epoch);
    if (!page) throw new Error('the log was replaced');
    found.push(...page.messages);
    next = page.to + 1;
  }
  return found;
}

/** Reads messages again, whose changes are not certain. */
export function reread(room: RereadRoom, seqs: Iterable<number>): void {
  const scheduled = stale.get(room);
  for (const seq of seqs) scheduled?.add(seq);
  if (scheduled) return;
  stale.set(room, new Set(seqs));
  setTimeout(() => void readStale(room), DELAY_MS);
}

async function readStale(room: RereadRoom): Promise<void> {
  const seqs = [...(stale.get(room) ?? [])].sort((a, b) => a - b);
  stale.delete(room);
  try {
    const fresh = new Map((await readMessages(room, seqs)).map((message) => [message.seq, message]));
    room.timeline.update((message) => {
      const next = fresh.get(message.seq);
      if (message.lost || next?.epoch !== message.epoch || !seqs.includes(message.seq)) return message;
      room.countChanged(next);
      const editedAt = next.edited === message.edited ? message.editedAt : undefined;
      return { ...next, key: message.key, editedAt };
    });
    room.revision.value++;
  } catch (error) {
    // Without a code, the log was replaced meanwhile: the numbers that it has kept are read again.
    if ((error as HubError).code === undefined) reread(room, seqs);
  }
}
