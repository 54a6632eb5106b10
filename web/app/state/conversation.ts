import { batch, computed, signal } from '@preact/signals';
import type { Change, Gap, Hub, HubError, Message, Place, Room, RoomEvents, SendOptions } from '../../sdk/index.ts';
import { archive, archived, forgetRoom, MAX_ARCHIVED } from './archive.ts';
import { type ChangeRecord, fold as foldChange, isUncertain, toEntry } from './changes.ts';
import { fold } from './completion.ts';
import { oncePerFrame } from './frames.ts';
import { mentionsUser } from './mentions.ts';
import { Outgoing, type TextData } from './outgoing.ts';
import { TabLock } from './own-tabs.ts';
import { Authors, type Person, peopleOf } from './people.ts';
import { ReadState } from './read-state.ts';
import { requiredCredential } from './sign-in.ts';
import { browserId } from './storage.ts';
import { type Entry, type MessageEntry, type Missing, type Note, PAGE_SIZE, type Page, Timeline } from './timeline.ts';
import { Typing, type TypingSignal } from './typing.ts';
import type { UnsavedChange } from './unsaved-change.ts';

/** Whether the user is a member of the room. */
export type Membership =
  | { readonly name: 'joining' | 'joined' }
  | { readonly name: 'rejected'; readonly reason: string };

/** Handles the events of a conversation. */
export interface ConversationListener {
  /** Handles new messages from other users. */
  onMessages(conversation: Conversation, messages: readonly MessageEntry[]): void;
  /** Handles what went wrong with something that the user has just done, such as a link. */
  onFailure(reason: string): void;
  /** Handles the end of the membership by the server. */
  onRemoved(conversation: Conversation): void;
}

/** A row of the log and the distance of its bottom edge from the top of the log, in pixels. */
export interface ScrollPosition {
  readonly key: string;
  readonly bottom: number;
}

/** What to read of the history. */
interface HistoryRange {
  readonly before?: number;
  readonly after?: number;
  readonly limit?: number;
}

/** How often the latest messages are stored, in milliseconds. */
const ARCHIVE_INTERVAL_MS = 5_000;

/** How many read messages to load before the first unread one. */
const CONTEXT_SIZE = 20;

// A server restart disconnects every member. Within this time after a reconnect, the return of a
// member is not shown as a join.
const REJOIN_WINDOW_MS = 60_000;

/** How many changes are remembered, to tell how many messages a failover has lost. */
const MAX_CHANGES = 1_000;

/** One room: its messages, read state and members. */
export class Conversation {
  readonly name: string;
  readonly timeline = new Timeline();
  readonly outgoing: Outgoing;
  /** The changes of this page that the log does not have. */
  readonly unsaved = signal<readonly UnsavedChange[]>([]);
  /**
   * Returns the entries as they will be once the log has the unsaved changes. Set with the first
   * one.
   */
  preview: ((entries: readonly Entry[]) => readonly Entry[]) | undefined;
  /** The number of messages and changes in flight or queued for a connection. */
  readonly pendingCount = computed(
    () => this.outgoing.pending.value.length + this.unsaved.value.filter(({ why }) => why === undefined).length,
  );
  readonly readState: ReadState;
  readonly typing: Typing;
  /** Incremented when the timeline changes. */
  readonly revision = signal(0);
  readonly membership = signal<Membership>({ name: 'joining' });
  /** Whether the last messages of the history are loaded. */
  readonly loaded = signal(false);
  /**
   * The messages that this browser has stored, shown until the room can be loaded; undefined if the
   * server has not been unreachable since the page was opened.
   */
  readonly archived = signal<readonly MessageEntry[] | undefined>(undefined);
  /** Whether a history request for what is shown is in flight. */
  readonly loading = signal(false);
  /** The people in the room; undefined in a room that is too large. */
  readonly people = signal<readonly Person[] | undefined>(undefined);
  readonly peopleCount = signal(0);
  /** Where the log was scrolled to when the reader switched rooms; undefined at its end. */
  scrollPosition: ScrollPosition | undefined;
  /** The key of the message that the log has yet to scroll to, as a link to it was opened. */
  readonly target = signal<string | undefined>(undefined);
  /** Whether a link to a message was opened, and the log was not at its end since. */
  readonly atLink = signal(false);
  /** The error to show below the composer, or an empty string. */
  readonly error = signal('');
  #room: Room<TextData, TypingSignal> | undefined;
  #user = '';
  readonly #authors = new Authors(browserId(), areNamesVerified);
  readonly #ownTabs = new TabLock();
  #incoming: MessageEntry[] = [];
  #incomingChanges: ChangeRecord[] = [];
  /** The changes that arrive while history requests are in flight. The pages may lack them. */
  #recentChanges: ChangeRecord[] = [];
  /** The numbers of the last changes. */
  #changeSeqs: number[] = [];
  /** The names of the members, one for each connection; undefined in a room that is too large. */
  #members: readonly string[] | undefined;
  /** The members before the connection was lost. */
  #previousMembers: ReadonlySet<string> = new Set();
  #joinedAt = 0;
  #archiveTimer: ReturnType<typeof setTimeout> | undefined;
  /** The folded names that can be mentioned, of these people and entries. */
  #known: { people?: readonly Person[] | undefined; entries?: readonly Entry[]; names: ReadonlySet<string> } = {
    names: new Set(),
  };
  /** The number of the message to show once the room is loaded. */
  #targetSeq: number | undefined;
  /** The number of history requests in flight. */
  #requests = 0;
  /** How many of them load what is shown. */
  #loads = 0;
  /** The place of the last `joined`. */
  #joinedPlace: Place | undefined;
  readonly #listener: ConversationListener;
  readonly #scheduleFlush = oncePerFrame(() => this.#flush());

  constructor(name: string, listener: ConversationListener) {
    this.name = name;
    this.#listener = listener;
    this.outgoing = new Outgoing(name);
    this.readState = new ReadState(name, (seq) => this.#room?.shown(seq));
    this.typing = new Typing((signal) => this.#sendSignal(signal));
    this.readState.unreadAtMost.subscribe((atMost) => {
      if (atMost)
        void import('./unread-mentions.ts').then(
          ({ countUnread }) => countUnread(this),
          () => undefined,
        );
    });
  }

  /** The epoch of the log. Empty before the first join. */
  get epoch(): string {
    return this.#room?.place?.epoch ?? '';
  }

  /** The name under which this client is in the room. */
  get user(): string {
    return this.#user;
  }

  /** Joins the room on a hub. A room that was joined on another hub resumes from its place. */
  bind(hub: Hub, user: string): void {
    const since = this.#room?.place;
    this.setUser(user);
    const room = hub.join<TextData, TypingSignal>(this.name, { changes: true, ...(since && { since }) });
    this.#room = room;
    this.outgoing.bind(room);
    room.on('joined', (event) => this.#onJoined(event));
    room.on('message', (message) => this.#onMessage(message));
    room.on('change', (change) => this.#onChange(change));
    room.on('gap', (gap) => this.#onGap(gap));
    room.on('presence', (event) => this.#onPresence(event));
    room.on('signal', ({ from, data }) => this.typing.receive(from, data));
    room.on('read', ({ seq }) => room.place && this.readState.readOnDevice({ epoch: room.place.epoch, seq }));
    room.on('removed', () => this.#onRemoved());
  }

  /** Sets the name that the server assigned. */
  setUser(user: string): void {
    this.#authors.setUser(user);
    if (user !== this.#user) this.#ownTabs.hold(this.name, user);
    this.#user = user;
    this.#scheduleFlush();
  }

  /** Returns the author of a message. */
  authorOf = (message: MessageEntry): Person => this.#authors.authorOf(message);

  /** The entries to show, with the changes of this page that the log does not have. */
  get entries(): readonly Entry[] {
    const entries = this.archived.value ?? this.timeline.entries;
    return this.unsaved.value.length > 0 && this.preview ? this.preview(entries) : entries;
  }

  /** Handle changes that have arrived; undefined if the log was replaced, or has lost some. */
  readonly changeListeners = new Set<(changes: readonly ChangeRecord[] | undefined) => void>();
  /** Everything up to this number is in the timeline, if it is loaded. */
  appliedTo = 0;

  /** Sends a change to the room, which is bound. Rejects if the server does. */
  send(data: TextData | null, options: SendOptions): Promise<number> {
    return (this.#room as Room<TextData, TypingSignal>).send(data, options);
  }

  /** Tells the user what went wrong. */
  fail(line: string): void {
    this.#listener.onFailure(line);
  }

  /** Returns a message among the entries shown. */
  loadedMessage(seq: number): MessageEntry | undefined {
    const epoch = this.#joinedPlace?.epoch;
    const isIt = (entry: Entry) =>
      entry.kind === 'message' && !entry.lost && entry.seq === seq && entry.epoch === epoch;
    return this.timeline.entries.find(isIt) as MessageEntry | undefined;
  }

  /** The names of the members, and of the authors of the messages shown, the latest first. */
  knownNames(): string[] {
    const authors = this.timeline.entries.flatMap((entry) => (entry.kind === 'message' ? [entry.from] : []));
    return [...new Set([...authors.reverse(), ...(this.people.peek() ?? []).map(({ name }) => name)])];
  }

  /** Whether a folded name is that of a member, or of the author of a message shown. */
  knows(folded: string): boolean {
    const people = this.people.peek();
    const { entries } = this.timeline;
    if (this.#known.people !== people || this.#known.entries !== entries) {
      this.#known = { people, entries, names: new Set([this.#user, ...this.knownNames()].map(fold)) };
    }
    return this.#known.names.has(folded);
  }

  /** Handles a rejected join. */
  reject(reason: string): void {
    this.membership.value = { name: 'rejected', reason };
  }

  /** Shows the stored messages until the room can be loaded. */
  async showArchived(): Promise<void> {
    if (this.loaded.value || this.archived.value) return;
    const messages = await archived(this.name);
    if (messages.length > 0) this.archived.value = messages;
  }

  /** Stores the latest messages, at most once in a while. */
  #scheduleArchive(): void {
    this.#archiveTimer ??= setTimeout(() => this.storeNow(), ARCHIVE_INTERVAL_MS);
  }

  /** Stores the latest messages if they have not been stored. */
  storeNow(): void {
    if (this.#archiveTimer === undefined) return;
    clearTimeout(this.#archiveTimer);
    this.#archiveTimer = undefined;
    void archive(this.name, this.timeline.latest(MAX_ARCHIVED));
  }

  #stopArchive(): void {
    clearTimeout(this.#archiveTimer);
    this.#archiveTimer = undefined;
    void forgetRoom(this.name);
  }

  leave(): void {
    this.#stopArchive();
    this.#ownTabs.release();
    this.#room?.leave();
  }

  #onRemoved(): void {
    this.#stopArchive();
    this.#ownTabs.release();
    this.#listener.onRemoved(this);
  }

  #sendSignal(signal: TypingSignal): boolean {
    if (this.membership.value.name !== 'joined') return false;
    this.#room?.signal(signal);
    return true;
  }

  // ── Reading ────────────────────────────────────────────────────────────────────────────────────

  /** Sets whether the room is on the screen. */
  setActive(active: boolean): void {
    if (this.readState.active === active) return;
    this.readState.setActive(active);
    this.revision.value++;
    if (active && this.#targetSeq === undefined && !this.target.value) void this.#loadUnread();
  }

  /** Sets whether the log is scrolled to the end of the entries shown. */
  setAtEnd(atEnd: boolean): void {
    const atLatest = atEnd && !this.timeline.detached;
    if (atLatest) this.atLink.value = false;
    this.readState.setAtLatest(atLatest);
  }

  showLatest(): void {
    this.timeline.showLatest();
    this.readState.opensAtUnread = false;
    this.setAtEnd(true);
    this.revision.value++;
  }

  /** Shows a message among those around it, as soon as the room is loaded. */
  showMessage(seq: number): void {
    this.#targetSeq = seq;
    if (this.loaded.value) void this.#showTarget();
  }

  async #showTarget(): Promise<void> {
    const seq = this.#targetSeq;
    const place = this.#joinedPlace;
    this.#targetSeq = undefined;
    if (seq === undefined || !place) return;
    this.readState.opensAtUnread = false;
    if (!this.loadedMessage(seq)) {
      // A link to the last messages before a failover may name one that was lost.
      const after = Math.max(0, seq - CONTEXT_SIZE - 1);
      await this.#load({ after }, place.epoch, (page) => {
        if (page.messages.some((message) => message.seq === seq)) this.timeline.showPage(page);
      });
    }
    const key = this.loadedMessage(seq)?.key;
    if (key === undefined) {
      if (this.error.value === '') this.#listener.onFailure('The message of this link is no longer kept.');
      return;
    }
    batch(() => {
      this.readState.setAtLatest(false);
      this.atLink.value = true;
      this.target.value = key;
      this.revision.value++;
    });
  }

  /** Loads messages before the first entry shown. */
  async loadOlder(): Promise<void> {
    const { before } = this.timeline;
    if (!before || this.loading.value || !this.loaded.value) return;
    await this.#load({ before: before.seq }, before.epoch, (page) => this.timeline.addOlder(page));
  }

  /** Shows messages after the last entry shown, and loads them if necessary. */
  async loadNewer(): Promise<void> {
    if (!this.timeline.detached || this.loading.value) return;
    const after = this.timeline.showNewer();
    this.revision.value++;
    if (after) await this.#load({ after: after.seq }, after.epoch, (page) => this.timeline.addNewer(page));
  }

  /**
   * Loads a page of a missing range.
   *
   * @param fromEnd whether to load the end of the range first.
   *
   * @param readerKey returns the entry in the middle of the screen when the page has arrived.
   */
  async fill(missing: Missing, fromEnd: boolean, readerKey: () => string | undefined): Promise<void> {
    if (this.loading.value) return;
    const range = fromEnd ? { before: missing.to + 1 } : { after: missing.from - 1 };
    await this.#load(range, missing.epoch, (page) => {
      this.timeline.fill(missing, page, fromEnd, !this.readState.atLatest, readerKey());
    });
  }

  /** Loads the first unread messages if the room opens at them and they are not loaded. */
  async #loadUnread(): Promise<void> {
    const seen = this.readState.unreadAfter.value;
    if (!seen || !this.loaded.value || !this.readState.opensAtUnread || this.timeline.reaches(seen)) return;
    const after = Math.max(0, seen.seq - CONTEXT_SIZE);
    await this.#load({ after }, seen.epoch, (page) => this.timeline.showPage(page));
  }

  async #load(range: HistoryRange, epoch: string, addPage: (page: Page) => void): Promise<void> {
    const { generation } = this.timeline;
    this.#loads++;
    this.loading.value = true;
    try {
      const page = await this.request({ ...range, limit: PAGE_SIZE }, epoch);
      // The log was reset meanwhile, or the view moved to another part of it.
      if (!page || this.timeline.generation !== generation) return;
      this.count(page);
      addPage(page);
      this.error.value = '';
      this.revision.value++;
    } catch (error) {
      if ((error as HubError).code === 'closed') return; // another hub takes over
      this.error.value = `Could not load messages: ${(error as Error).message}.`;
    } finally {
      this.loading.value = --this.#loads > 0;
    }
  }

  /** Counts what is unread of a page of the history. */
  count({ messages, from, to }: Page): void {
    this.#countMentions(messages);
    this.readState.addCovered(from, to, new Set(messages.flatMap(({ seq, deleted }) => (deleted ? [] : [seq]))));
  }

  /**
   * Reads a page of the history, and those after it as long as they cover changes only.
   *
   * @returns undefined if the log is not in the epoch.
   */
  async request(range: HistoryRange, epoch: string): Promise<Page | undefined> {
    if (!this.#room) return undefined;
    this.#requests++;
    try {
      let { messages, more, from, to } = await this.#room.history(range);
      while (messages.length === 0 && more && from <= to) {
        const next = range.after === undefined ? { before: from } : { after: to };
        const page = await this.#room.history({ ...range, ...next });
        [from, to] = [Math.min(from, page.from), Math.max(to, page.to)];
        ({ messages, more } = page);
      }
      if (this.#room.place?.epoch !== epoch) return undefined;
      const entries = messages.map((message) => this.#recentChanges.reduce(foldChange, toEntry(message, epoch)));
      return { messages: entries, more, from, to };
    } finally {
      if (--this.#requests === 0) this.#recentChanges = [];
    }
  }

  /** Reads messages again, whose changes are not certain. */
  #reread(seqs: readonly number[]): void {
    if (seqs.length > 0) void import('./reread.ts').then(({ reread }) => reread(this, seqs));
  }

  // ── Events of the room ─────────────────────────────────────────────────────────────────────────

  #onJoined({ place, recovered, again, lost }: RoomEvents<TextData, TypingSignal>['joined']): void {
    const previous = this.#joinedPlace?.epoch ?? place.epoch;
    const changed = previous !== place.epoch;
    const continued = recovered || lost !== undefined;
    this.#addIncoming();
    this.#joinedPlace = place;
    this.#previousMembers = new Set(this.#members);
    this.#joinedAt = performance.now();
    batch(() => {
      this.membership.value = { name: 'joined' };
      this.#updateMembers();
      if (changed && continued) this.#moveTo(previous, place.epoch, lost);
      if (changed) for (const listener of this.changeListeners) listener(undefined);
      this.readState.joined(place, continued ? previous : '', lost?.from);
      this.outgoing.refresh();
      this.#scheduleFlush();
      if (changed && !continued && this.timeline.entries.some(({ kind }) => kind === 'message')) {
        const text = 'The room was reset. The server no longer has the messages above.';
        this.#add({ kind: 'note', key: this.timeline.key(), text });
      }
    });
    if (!this.loaded.value && !again) void this.#loadLatest(place);
  }

  /** Moves the messages to the next epoch. Those with a lost change are read again. */
  #moveTo(previous: string, epoch: string, lost: { readonly from: number; readonly to: number } | undefined): void {
    const from = lost?.from ?? Number.POSITIVE_INFINITY;
    const lostChanges = this.#changeSeqs.filter((seq) => seq >= from).length;
    const lostCount = lost ? lost.to - from + 1 - lostChanges : 0;
    this.#changeSeqs = this.#changeSeqs.filter((seq) => seq < from);
    this.timeline.moveTo(previous, epoch, lost, !this.readState.atLatest, lostCount);
    const stale: number[] = [];
    this.timeline.update((message) => {
      if (message.epoch !== epoch || message.lost || (message.changed ?? 0) < from) return message;
      stale.push(message.seq);
      return { ...message, changed: from - 1 };
    });
    this.#reread(stale);
  }

  /** Loads the last messages before a join, and again if the log changes its epoch meanwhile. */
  async #loadLatest({ epoch, seq }: Place): Promise<void> {
    if (seq > 0) await this.#load({ before: seq + 1 }, epoch, (page) => this.timeline.addOlder(page));
    const place = this.#joinedPlace;
    if (place && place.epoch !== epoch) return this.#loadLatest({ epoch: place.epoch, seq: Math.min(seq, place.seq) });
    this.loaded.value = true;
    this.archived.value = undefined;
    this.#scheduleArchive();
    this.readState.historyLoaded();
    this.revision.value++;
    if (this.#targetSeq === undefined) await this.#loadUnread();
    else await this.#showTarget();
  }

  #onMessage(message: Message<TextData>): void {
    const entry = toEntry(message, this.epoch);
    this.#incoming.push(entry);
    this.typing.remove(entry.from);
    this.#scheduleFlush();
  }

  #onChange(change: Change<TextData>): void {
    const record = { ...change, epoch: this.epoch };
    this.#incomingChanges.push(record);
    if (this.#requests > 0) this.#recentChanges.push(record);
    this.#scheduleFlush();
  }

  #onGap({ from, to, why }: Gap): void {
    const epoch = this.epoch;
    const key = `${epoch}:${from}-${to}`;
    this.#flush();
    this.readState.addGap(to);
    this.timeline.addMissing(
      { kind: 'missing', key, epoch, from, to, lost: why === 'trimmed', atMost: this.#changeSeqs.length > 0 },
      !this.readState.atLatest,
    );
    this.#scheduleFlush();
  }

  #onPresence({ joined, left }: { joined: readonly string[]; left: readonly string[] }): void {
    const before = new Set(this.#members);
    const rejoining = performance.now() - this.#joinedAt < REJOIN_WINDOW_MS ? this.#previousMembers : new Set<string>();
    this.#updateMembers();
    const after = new Set(this.#members);
    const isNews = (name: string) =>
      name !== this.#user && !rejoining.has(name) && before.has(name) !== after.has(name);
    const newlyJoined = [...new Set(joined)].filter((name) => after.has(name) && isNews(name));
    const newlyLeft = [...new Set(left)].filter((name) => !after.has(name) && isNews(name));
    for (const name of newlyLeft) this.typing.remove(name);
    if (newlyJoined.length + newlyLeft.length === 0) return;
    this.#flush();
    this.timeline.addPresence(newlyJoined, newlyLeft, !this.readState.atLatest);
    this.#scheduleFlush();
  }

  #updateMembers(): void {
    this.#members = this.#room?.members;
    // Only the tabs of this browser are known to belong to one person.
    const tabs = this.#members?.filter((name) => name === this.#user).length ?? 0;
    if (tabs < 2) this.#updatePeople(1);
    else void this.#ownTabs.count().then((ownTabs) => this.#updatePeople(ownTabs));
  }

  #updatePeople(ownTabs: number): void {
    const members = this.#members;
    const people = members && peopleOf({ members, user: this.#user, ownTabs, verified: areNamesVerified() });
    batch(() => {
      this.people.value = people;
      this.peopleCount.value = people?.length ?? this.#room?.count ?? 0;
    });
  }

  /** Adds an entry after all messages that have arrived. */
  #add(entry: Note): void {
    this.#flush();
    this.timeline.add([entry], !this.readState.atLatest);
    this.#scheduleFlush();
  }

  #flush(): void {
    batch(() => {
      this.#addIncoming();
      this.readState.setHead(this.#room?.place);
      this.revision.value++;
    });
  }

  /** Whether a message of another user names this one. */
  mentionsUser(message: MessageEntry): boolean {
    return mentionsUser(message.text, this.#user) && !this.authorOf(message).own;
  }

  #countMentions(messages: readonly MessageEntry[]): void {
    for (const message of messages) if (this.mentionsUser(message)) this.readState.addMention(message);
  }

  /** Moves the messages and changes that have arrived to the timeline. */
  #addIncoming(): void {
    const changes = this.#incomingChanges;
    this.#incomingChanges = [];
    this.#addMessages();
    if (changes.length > 0) this.#applyChanges(changes);
    this.appliedTo = this.#room?.place?.seq ?? 0;
    for (const listener of this.changeListeners) listener(changes);
  }

  #applyChanges(changes: readonly ChangeRecord[]): void {
    const seqs = new Set(changes.map(({ of }) => of));
    const uncertain: number[] = [];
    for (const { seq } of changes) this.readState.addUnreadable(seq);
    this.#changeSeqs = [...this.#changeSeqs, ...changes.map(({ seq }) => seq)].slice(-MAX_CHANGES);
    this.timeline.update((message) => {
      if (!seqs.has(message.seq)) return message;
      const next = changes.reduce(foldChange, message);
      if (next === message) return message;
      this.countChanged(next);
      if (isUncertain(message) || isUncertain(next)) uncertain.push(next.seq);
      return next;
    });
    this.#reread(uncertain);
    if (this.loaded.value) this.#scheduleArchive();
  }

  /** Counts a changed message again. */
  countChanged(message: MessageEntry): void {
    if (message.deleted) this.readState.addUnreadable(message.seq);
    if (!this.authorOf(message).own) this.readState.addMention(message, this.mentionsUser(message));
  }

  #addMessages(): void {
    const { readState } = this;
    const messages = this.#incoming;
    if (messages.length === 0) return;
    this.#incoming = [];
    const fromOthers = messages.filter((message) => !this.authorOf(message).own);
    this.timeline.add(messages, !readState.atLatest);
    if (fromOthers.length < messages.length && readState.active) readState.unreadAfter.value = undefined;
    this.#countMentions(fromOthers);
    if (this.loaded.value) this.#scheduleArchive();
    if (fromOthers.length > 0) this.#listener.onMessages(this, fromOthers);
    this.outgoing.refresh();
  }
}

/** Whether the server verifies names. */
function areNamesVerified(): boolean {
  return requiredCredential.value !== 'nothing';
}
