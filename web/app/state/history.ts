import { batch, type Signal, signal } from '@preact/signals';
import type { HubError, Place, Room } from '../../sdk/index.ts';
import { type ChangeRecord, fold, toEntry } from './changes.ts';
import type { TextData } from './outgoing.ts';
import type { ReadState } from './read-state.ts';
import { type MessageEntry, type Missing, PAGE_SIZE, type Page, type Timeline } from './timeline.ts';

/** What the history needs of its room. */
interface HistoryRoom {
  readonly timeline: Timeline;
  readonly readState: ReadState;
  readonly revision: Signal<number>;
  /** The error to show below the composer, or an empty string. */
  readonly error: Signal<string>;
  countMentions(messages: readonly MessageEntry[]): void;
  fail(line: string): void;
}

/** What to read of the history. */
interface HistoryRange {
  readonly before?: number;
  readonly after?: number;
  readonly limit?: number;
}

/** How many read messages to load before the first unread one, or the one of a link. */
const CONTEXT_SIZE = 20;

/** Loads the messages of one room: the last ones, and those that the reader scrolls to. */
export class History {
  /** Whether the last messages are loaded. */
  readonly loaded = signal(false);
  /** Whether a request for what is shown is in flight. */
  readonly loading = signal(false);
  /** The key of the message that the log has yet to scroll to, as a link to it was opened. */
  readonly target = signal<string | undefined>(undefined);
  /** Whether a link to a message was opened, and the log was not at its end since. */
  readonly atLink = signal(false);
  /** The place of the last `joined`. */
  place: Place | undefined;
  readonly #room: HistoryRoom;
  #source: Room<TextData, unknown> | undefined;
  /** The number of the message to show once the room is loaded. */
  #targetSeq: number | undefined;
  /** The number of requests in flight. */
  #requests = 0;
  /** How many of them load what is shown. */
  #loads = 0;
  /** The changes that arrive while requests are in flight. The pages may lack them. */
  #recentChanges: ChangeRecord[] = [];

  constructor(room: HistoryRoom) {
    this.#room = room;
  }

  bind(source: Room<TextData, unknown>): void {
    this.#source = source;
  }

  /** Handles a change that has arrived. */
  receive(change: ChangeRecord): void {
    if (this.#requests > 0) this.#recentChanges.push(change);
  }

  /** Returns a message among the entries shown. */
  loadedMessage(seq: number): MessageEntry | undefined {
    const epoch = this.place?.epoch;
    return this.#room.timeline.entries.find(
      (entry): entry is MessageEntry =>
        entry.kind === 'message' && !entry.lost && entry.seq === seq && entry.epoch === epoch,
    );
  }

  /** Shows a message among those around it, as soon as the room is loaded. */
  showMessage(seq: number): void {
    this.#targetSeq = seq;
    if (this.loaded.value) void this.#showTarget();
  }

  async #showTarget(): Promise<void> {
    const { timeline, readState, revision, error } = this.#room;
    const seq = this.#targetSeq;
    const { place } = this;
    this.#targetSeq = undefined;
    if (seq === undefined || !place) return;
    readState.opensAtUnread = false;
    if (!this.loadedMessage(seq)) {
      // A link to the last messages before a failover may name one that was lost.
      const after = Math.max(0, seq - CONTEXT_SIZE - 1);
      await this.#load({ after }, place.epoch, (page) => {
        if (page.messages.some((message) => message.seq === seq)) timeline.showPage(page);
      });
    }
    const key = this.loadedMessage(seq)?.key;
    if (key === undefined) {
      if (error.value === '') this.#room.fail('The message of this link is no longer kept.');
      return;
    }
    batch(() => {
      readState.setAtLatest(false);
      this.atLink.value = true;
      this.target.value = key;
      revision.value++;
    });
  }

  /** Loads the last messages before a join, and again if the log changes its epoch meanwhile. */
  async loadLatest({ epoch, seq }: Place): Promise<void> {
    const { timeline } = this.#room;
    if (seq > 0) await this.#load({ before: seq + 1 }, epoch, (page) => timeline.addOlder(page));
    const { place } = this;
    if (place && place.epoch !== epoch) await this.loadLatest({ epoch: place.epoch, seq: Math.min(seq, place.seq) });
  }

  /** Shows what the room opens at, once it is loaded: the message of a link, or the unread ones. */
  async showOpening(): Promise<void> {
    if (this.#targetSeq === undefined) await this.loadUnread();
    else await this.#showTarget();
  }

  /** Loads the first unread messages if the room opens at them and they are not loaded. */
  async loadUnread(): Promise<void> {
    const { timeline, readState } = this.#room;
    if (this.#targetSeq !== undefined || this.target.value) return;
    const seen = readState.unreadAfter.value;
    if (!seen || !this.loaded.value || !readState.opensAtUnread || timeline.reaches(seen)) return;
    const after = Math.max(0, seen.seq - CONTEXT_SIZE);
    await this.#load({ after }, seen.epoch, (page) => timeline.showPage(page));
  }

  /** Loads messages before the first entry shown. */
  async loadOlder(): Promise<void> {
    const { timeline } = this.#room;
    const { before } = timeline;
    if (!before || this.loading.value || !this.loaded.value) return;
    await this.#load({ before: before.seq }, before.epoch, (page) => timeline.addOlder(page));
  }

  /** Shows messages after the last entry shown, and loads them if necessary. */
  async loadNewer(): Promise<void> {
    const { timeline, revision } = this.#room;
    if (!timeline.detached || this.loading.value) return;
    const after = timeline.showNewer();
    revision.value++;
    if (after) await this.#load({ after: after.seq }, after.epoch, (page) => timeline.addNewer(page));
  }

  /**
   * Loads a page of a missing range.
   *
   * @param fromEnd whether to load the end of the range first.
   *
   * @param readerKey returns the entry in the middle of the screen when the page has arrived.
   */
  async fill(missing: Missing, fromEnd: boolean, readerKey: () => string | undefined): Promise<void> {
    const { timeline, readState } = this.#room;
    if (this.loading.value) return;
    const range = fromEnd ? { before: missing.to + 1 } : { after: missing.from - 1 };
    await this.#load(range, missing.epoch, (page) => {
      timeline.fill(missing, page, fromEnd, !readState.atLatest, readerKey());
    });
  }

  async #load(range: HistoryRange, epoch: string, addPage: (page: Page) => void): Promise<void> {
    const room = this.#room;
    const { generation } = room.timeline;
    this.#loads++;
    this.loading.value = true;
    try {
      const page = await this.request({ ...range, limit: PAGE_SIZE }, epoch);
      // The log was reset meanwhile, or the view moved to another part of it.
      if (!page || room.timeline.generation !== generation) return;
      this.count(page);
      addPage(page);
      room.error.value = '';
      room.revision.value++;
    } catch (error) {
      if ((error as HubError).code === 'closed') return; // another hub takes over
      room.error.value = `Could not load messages: ${(error as Error).message}.`;
    } finally {
      this.loading.value = --this.#loads > 0;
    }
  }

  /** Counts what is unread of a page. */
  count({ messages, from, to }: Page): void {
    const { readState } = this.#room;
    this.#room.countMentions(messages);
    readState.addCovered(from, to, new Set(messages.flatMap(({ seq, deleted }) => (deleted ? [] : [seq]))));
  }

  /**
   * Reads a page of the history, and those after it as long as they cover changes only.
   *
   * @returns undefined if the log is not in the epoch.
   */
  async request(range: HistoryRange, epoch: string): Promise<Page | undefined> {
    const source = this.#source;
    if (!source) return undefined;
    this.#requests++;
    try {
      let { messages, more, from, to } = await source.history(range);
      while (messages.length === 0 && more && from <= to) {
        const next = range.after === undefined ? { before: from } : { after: to };
        const page = await source.history({ ...range, ...next });
        [from, to] = [Math.min(from, page.from), Math.max(to, page.to)];
        ({ messages, more } = page);
      }
      if (this.#source?.place?.epoch !== epoch) return undefined;
      const entries = messages.map((message) => this.#recentChanges.reduce(fold, toEntry(message, epoch)));
      return { messages: entries, more, from, to };
    } finally {
      if (--this.#requests === 0) this.#recentChanges = [];
    }
  }
}
