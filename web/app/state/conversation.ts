import { batch, computed, signal } from '@preact/signals';
import type { Gap, Hub, Place, Room, RoomEvents } from '../../sdk/index.ts';
import { History } from './history.ts';
import { Incoming } from './incoming.ts';
import { mentionsUser } from './mentions.ts';
import { Outgoing, type TextData } from './outgoing.ts';
import { ReadState } from './read-state.ts';
import { RoomArchive } from './room-archive.ts';
import { RoomPeople } from './room-people.ts';
import { type Entry, type MessageEntry, Timeline } from './timeline.ts';
import { Typing, type TypingSignal } from './typing.ts';

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

/** Loads the part that makes changes, and shows those that the log does not have. */
export const loadChanges = () => import('./outgoing-changes.ts');

/** One room: its messages, read state and members. */
export class Conversation {
  readonly name: string;
  readonly timeline = new Timeline();
  readonly readState: ReadState;
  readonly typing: Typing;
  readonly outgoing: Outgoing;
  readonly archive = new RoomArchive(this);
  /** Loads the messages. */
  readonly history = new History(this);
  readonly incoming = new Incoming(this);
  readonly #people = new RoomPeople(this);
  /** Incremented when the timeline changes. */
  readonly revision = signal(0);
  readonly membership = signal<Membership>({ name: 'joining' });
  /** The error to show below the composer, or an empty string. */
  readonly error = signal('');
  /** Where the log was scrolled to when the reader switched rooms; undefined at its end. */
  scrollPosition: ScrollPosition | undefined;
  /** Adds this user's changes to the entries that the log does not have; undefined without any. */
  readonly preview = signal<((entries: readonly Entry[]) => readonly Entry[]) | undefined>(undefined);
  /** The number of messages and changes in flight or queued for a connection. */
  readonly pendingCount = computed(() => this.outgoing.pending.value.length + this.outgoing.changes.value.length);
  #room: Room<TextData, TypingSignal> | undefined;
  readonly #listener: ConversationListener;

  constructor(name: string, listener: ConversationListener) {
    this.name = name;
    this.#listener = listener;
    this.outgoing = new Outgoing(name, (use) => {
      void loadChanges().then(
        ({ outgoingChangesOf }) => use(outgoingChangesOf(this)),
        () => undefined, // offline: they are sent, but not shown
      );
    });
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

  /** The place up to which the log has arrived; undefined before the first join. */
  get place(): Place | undefined {
    return this.#room?.place;
  }

  /** The epoch of the log. Empty before the first join. */
  get epoch(): string {
    return this.place?.epoch ?? '';
  }

  /** The entries to show, with the changes of this user that the log does not have. */
  get entries(): readonly Entry[] {
    const entries = this.archive.messages.value ?? this.timeline.entries;
    return this.preview.value?.(entries) ?? entries;
  }

  /** Joins the room on a hub. A room that was joined on another hub resumes from its place. */
  bind(hub: Hub, user: string): void {
    const since = this.place;
    this.setUser(user);
    const room = hub.join<TextData, TypingSignal>(this.name, { changes: true, ...(since && { since }) });
    this.#room = room;
    for (const part of [this.#people, this.history, this.outgoing]) part.bind(room);
    room.on('joined', (event) => this.#onJoined(event));
    room.on('message', (message) => this.typing.remove(this.incoming.addMessage(message).from));
    room.on('change', (change) => this.history.receive(this.incoming.addChange(change)));
    room.on('gap', (gap) => this.#onGap(gap));
    room.on('presence', (event) => this.#onPresence(event));
    room.on('signal', ({ from, data }) => this.typing.receive(from, data));
    room.on('read', ({ seq }) => room.place && this.readState.readOnDevice({ epoch: room.place.epoch, seq }));
    room.on('removed', () => {
      this.#stop();
      this.#listener.onRemoved(this);
    });
  }

  /** Handles a rejected join. */
  reject(reason: string): void {
    this.membership.value = { name: 'rejected', reason };
  }

  leave(): void {
    this.#stop();
    this.#room?.leave();
  }

  #stop(): void {
    this.archive.stop();
    this.#people.leave();
  }

  /** Tells the user what went wrong. */
  fail(line: string): void {
    this.#listener.onFailure(line);
  }

  #sendSignal(signal: TypingSignal): boolean {
    if (this.membership.value.name !== 'joined') return false;
    this.#room?.signal(signal);
    return true;
  }

  // ── People ─────────────────────────────────────────────────────────────────────────────────────

  /** The people in the room; undefined in a room that is too large. */
  readonly people = this.#people.people;
  readonly peopleCount = this.#people.count;

  /** The name under which this client is in the room. */
  get user(): string {
    return this.#people.user;
  }

  /** Sets the name that the server assigned. */
  setUser(user: string): void {
    this.#people.setUser(user);
    this.incoming.scheduleFlush();
  }

  /** Returns the author of a message. */
  readonly authorOf = this.#people.authorOf;

  /** The names of the members, and of the authors of the messages shown, the latest first. */
  knownNames(): string[] {
    return this.#people.knownNames(this.timeline.entries);
  }

  /** Whether a folded name is that of a member, or of the author of a message shown. */
  knows(folded: string): boolean {
    return this.#people.knows(folded, this.timeline.entries);
  }

  /** Whether a message of another user names this one. */
  mentionsUser(message: MessageEntry): boolean {
    return mentionsUser(message.text, this.user) && !this.authorOf(message).own;
  }

  /** Counts the messages that name the user. */
  countMentions(messages: readonly MessageEntry[]): void {
    for (const message of messages) if (this.mentionsUser(message)) this.readState.addMention(message);
  }

  /** Counts a changed message again. */
  countChanged(message: MessageEntry): void {
    if (message.deleted) this.readState.addUnreadable(message.seq);
    if (!this.authorOf(message).own) this.readState.addMention(message, this.mentionsUser(message));
  }

  #onPresence(event: RoomEvents<TextData, TypingSignal>['presence']): void {
    const { joined, left } = this.#people.presence(event.joined, event.left);
    for (const name of left) this.typing.remove(name);
    if (joined.length + left.length === 0) return;
    this.incoming.addAfter((scrolledBack) => this.timeline.addPresence(joined, left, scrolledBack));
  }

  // ── Reading ────────────────────────────────────────────────────────────────────────────────────

  /** Sets whether the room is on the screen. */
  setActive(active: boolean): void {
    if (this.readState.active === active) return;
    this.readState.setActive(active);
    this.revision.value++;
    if (active) void this.history.loadUnread();
  }

  /** Sets whether the log is scrolled to the end of the entries shown. */
  setAtEnd(atEnd: boolean): void {
    const atLatest = atEnd && !this.timeline.detached;
    if (atLatest) this.history.atLink.value = false;
    this.readState.setAtLatest(atLatest);
  }

  showLatest(): void {
    this.timeline.showLatest();
    this.readState.opensAtUnread = false;
    this.setAtEnd(true);
    this.revision.value++;
  }

  // ── The log ────────────────────────────────────────────────────────────────────────────────────

  #onJoined({ place, recovered, again, lost }: RoomEvents<TextData, TypingSignal>['joined']): void {
    const previous = this.history.place?.epoch ?? place.epoch;
    const changed = previous !== place.epoch;
    const continued = recovered || lost !== undefined;
    this.incoming.add();
    this.history.place = place;
    batch(() => {
      this.membership.value = { name: 'joined' };
      this.#people.joined();
      if (changed && continued) this.#reread(this.incoming.moveTo(previous, place, lost));
      if (changed) for (const listener of this.incoming.listeners) listener(undefined);
      this.readState.joined(place, continued ? previous : '', lost?.from);
      this.outgoing.refresh();
      this.incoming.scheduleFlush();
      if (changed && !continued && this.timeline.entries.some(({ kind }) => kind === 'message')) {
        const text = 'The room was reset. The server no longer has the messages above.';
        const note = { kind: 'note', key: this.timeline.key(), text } as const;
        this.incoming.addAfter((scrolledBack) => this.timeline.add([note], scrolledBack));
      }
    });
    if (!this.history.loaded.value && !again) void this.#loadLatest(place);
  }

  async #loadLatest(place: Place): Promise<void> {
    await this.history.loadLatest(place);
    this.history.loaded.value = true;
    this.archive.messages.value = undefined;
    this.archive.schedule();
    this.readState.historyLoaded();
    this.revision.value++;
    await this.history.showOpening();
  }

  #onGap({ from, to, why }: Gap): void {
    const { epoch } = this;
    const key = `${epoch}:${from}-${to}`;
    const lost = why === 'trimmed';
    this.incoming.addAfter((scrolledBack) => {
      const atMost = this.incoming.hasChanges;
      this.readState.addGap(to);
      this.timeline.addMissing({ kind: 'missing', key, epoch, from, to, lost, atMost }, scrolledBack);
    });
  }

  /** Handles messages that were added to the timeline. @param fromOthers those of other users */
  onAdded(fromOthers: readonly MessageEntry[]): void {
    this.archive.schedule();
    if (fromOthers.length > 0) this.#listener.onMessages(this, fromOthers);
    this.outgoing.refresh();
  }

  /** Handles messages that were changed. @param uncertain those to read again */
  onChanged(uncertain: readonly number[]): void {
    this.#reread(uncertain);
    this.archive.schedule();
  }

  /** Reads messages again, whose changes are not certain. */
  #reread(seqs: readonly number[]): void {
    if (seqs.length > 0) void import('./reread.ts').then(({ reread }) => reread(this, seqs));
  }
}
