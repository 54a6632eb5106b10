import { batch, type Signal } from '@preact/signals';
import type { Change, Message, Place } from '../../sdk/index.ts';
import { type ChangeRecord, fold, isUncertain, toEntry } from './changes.ts';
import { oncePerFrame } from './frames.ts';
import type { TextData } from './outgoing.ts';
import type { Person } from './people.ts';
import type { ReadState } from './read-state.ts';
import type { MessageEntry, Range, Timeline } from './timeline.ts';

/** What the incoming records need of their room. */
interface IncomingRoom {
  readonly timeline: Timeline;
  readonly readState: ReadState;
  readonly revision: Signal<number>;
  /** The place of the client library: everything up to it has been received. */
  readonly place: Place | undefined;
  authorOf(message: MessageEntry): Person;
  countMentions(messages: readonly MessageEntry[]): void;
  countChanged(message: MessageEntry): void;
  /** Handles messages that were added to the timeline. @param fromOthers those of other users */
  onAdded(fromOthers: readonly MessageEntry[]): void;
  /** Handles messages that were changed. @param uncertain those to read again */
  onChanged(uncertain: readonly number[]): void;
}

/** How many changes are remembered, to tell how many messages a failover has lost. */
const MAX_CHANGES = 1_000;

/** The messages and changes that arrive in one room. They reach the timeline once per frame. */
export class Incoming {
  /** Handle changes that have arrived; undefined if the log was replaced, or has lost some. */
  readonly listeners = new Set<(changes: readonly ChangeRecord[] | undefined) => void>();
  /** Everything up to this number is in the timeline, if it is loaded. */
  appliedTo = 0;
  /** Adds what has arrived to the timeline with the next frame. */
  readonly scheduleFlush = oncePerFrame(() => this.flush());
  readonly #room: IncomingRoom;
  #messages: MessageEntry[] = [];
  #changes: ChangeRecord[] = [];
  /** The numbers of the last changes. */
  #changeSeqs: number[] = [];

  constructor(room: IncomingRoom) {
    this.#room = room;
  }

  /** Whether numbers that did not arrive may be those of changes: the room has some. */
  get hasChanges(): boolean {
    return this.#changeSeqs.length > 0;
  }

  addMessage(message: Message<TextData>): MessageEntry {
    const entry = toEntry(message, this.#room.place?.epoch ?? '');
    this.#messages.push(entry);
    this.scheduleFlush();
    return entry;
  }

  addChange(change: Change<TextData>): ChangeRecord {
    const record = { ...change, epoch: this.#room.place?.epoch ?? '' };
    this.#changes.push(record);
    this.scheduleFlush();
    return record;
  }

  /** Adds what has arrived to the timeline now. */
  flush(): void {
    const { readState, revision, place } = this.#room;
    batch(() => {
      this.add();
      readState.setHead(place);
      revision.value++;
    });
  }

  /**
   * Adds an entry to the timeline after all messages that have arrived.
   *
   * @param add adds it. Its parameter is whether the reader has scrolled back.
   */
  addAfter(add: (scrolledBack: boolean) => void): void {
    this.flush();
    add(!this.#room.readState.atLatest);
    this.scheduleFlush();
  }

  /** Moves the messages and changes that have arrived to the timeline. */
  add(): void {
    const changes = this.#changes;
    this.#changes = [];
    this.#addMessages();
    if (changes.length > 0) this.#applyChanges(changes);
    this.appliedTo = this.#room.place?.seq ?? 0;
    for (const listener of this.listeners) listener(changes);
  }

  /**
   * Moves the entries to the next epoch of the log.
   *
   * @param place where the client resumes in it.
   * @returns the numbers of the messages that may have a lost change, to be read again: a page of
   *   the history can have changes from after the place.
   */
  moveTo(previous: string, { epoch, seq }: Place, lost: Range | undefined): readonly number[] {
    const { timeline, readState } = this.#room;
    const from = lost?.from ?? seq + 1;
    const lostChanges = this.#changeSeqs.filter((seq) => seq >= from).length;
    const lostCount = lost ? lost.to - from + 1 - lostChanges : 0;
    this.#changeSeqs = this.#changeSeqs.filter((seq) => seq < from);
    timeline.moveTo(previous, epoch, lost, !readState.atLatest, lostCount);
    const stale: number[] = [];
    timeline.update((message) => {
      if (message.epoch !== epoch || message.lost || (message.changed ?? 0) < from) return message;
      stale.push(message.seq);
      return { ...message, changed: from - 1 };
    });
    return stale;
  }

  #applyChanges(changes: readonly ChangeRecord[]): void {
    const room = this.#room;
    const seqs = new Set(changes.map(({ of }) => of));
    const uncertain: number[] = [];
    for (const { seq } of changes) room.readState.addUnreadable(seq);
    this.#changeSeqs = [...this.#changeSeqs, ...changes.map(({ seq }) => seq)].slice(-MAX_CHANGES);
    room.timeline.update((message) => {
      if (!seqs.has(message.seq)) return message;
      const next = changes.reduce(fold, message);
      if (next === message) return message;
      room.countChanged(next);
      if (isUncertain(message) || isUncertain(next)) uncertain.push(next.seq);
      return next;
    });
    room.onChanged(uncertain);
  }

  #addMessages(): void {
    const { timeline, readState } = this.#room;
    const messages = this.#messages;
    if (messages.length === 0) return;
    this.#messages = [];
    const fromOthers = messages.filter((message) => !this.#room.authorOf(message).own);
    timeline.add(messages, !readState.atLatest);
    if (fromOthers.length < messages.length && readState.active) readState.unreadAfter.value = undefined;
    this.#room.countMentions(fromOthers);
    this.#room.onAdded(fromOthers);
  }
}
