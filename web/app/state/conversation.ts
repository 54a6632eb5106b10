import { batch, signal } from '@preact/signals';
import type { Gap, Hub, HubError, Message, Place, Room } from '../../sdk/index.ts';
import { onFrame } from './frames.ts';
import { Outgoing, type Text } from './outgoing.ts';
import { Reading } from './reading.ts';
import { type Missing, type Note, PAGE, type Page, type Said, Timeline } from './timeline.ts';
import { Typing, type TypingSignal } from './typing.ts';

/** Whether one is in the room. */
export type Standing = { readonly name: 'joining' | 'in' } | { readonly name: 'refused'; readonly why: string };

/** What a conversation tells beside what it shows. */
export interface Listener {
  /** Someone else has said something just now. */
  heard(conversation: Conversation, said: readonly Said[]): void;
}

/** So long after a lost connection others may come back too. */
const COME_BACK_MS = 60_000;

/** One room: its messages, how far they are read, who is there. */
export class Conversation {
  readonly name: string;
  readonly timeline = new Timeline();
  readonly outgoing: Outgoing;
  readonly reading: Reading;
  readonly typing: Typing;
  /** Goes up when the timeline shows something else. */
  readonly revision = signal(0);
  readonly standing = signal<Standing>({ name: 'joining' });
  /** Whether the last messages of before have come. */
  readonly loaded = signal(false);
  /** Whether other messages are on their way. */
  readonly loading = signal(false);
  readonly people = signal<readonly string[] | undefined>(undefined);
  readonly count = signal(0);
  /** What could not be done, in words. */
  readonly trouble = signal('');
  #room: Room<Text, TypingSignal> | undefined;
  #me = '';
  #incoming: Said[] = [];
  /** Who was there before the connection was lost: who comes back soon has not come. */
  #before: ReadonlySet<string> = new Set();
  #backAt = 0;
  readonly #listener: Listener;
  readonly #show = onFrame(() => this.#paint());

  constructor(name: string, listener: Listener) {
    this.name = name;
    this.#listener = listener;
    this.outgoing = new Outgoing(name);
    this.reading = new Reading(name, (seq) => this.#room?.shown(seq));
    this.typing = new Typing((told) => this.#signal(told));
  }

  get me(): string {
    return this.#me;
  }

  /** Joins it through a connection, where one goes on after what another had. @param me by which name. */
  bind(hub: Hub, me: string): void {
    const since = this.#room?.place;
    this.#me = me;
    const room = hub.join<Text, TypingSignal>(this.name, since && { since });
    this.#room = room;
    this.outgoing.bind(room);
    room.on('joined', (told) => this.#onJoined(told));
    room.on('message', (message) => this.#onMessage(message));
    room.on('gap', (gap) => this.#onGap(gap));
    room.on('presence', (told) => this.#onPresence(told));
    room.on('signal', ({ from, data }) => this.typing.heard(from, data));
  }

  /** The name that the server has for oneself. */
  named(me: string): void {
    this.#me = me;
    this.#show();
  }

  /** The server will not have one in the room. */
  refused(why: string): void {
    this.standing.value = { name: 'refused', why };
  }

  leave(): void {
    this.#room?.leave();
  }

  #signal(told: TypingSignal): boolean {
    if (this.standing.value.name !== 'in') return false;
    this.#room?.signal(told);
    return true;
  }

  // ── Reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The room is looked at, or no more. */
  look(looking: boolean): void {
    if (this.reading.looking === looking) return;
    this.reading.look(looking);
    this.revision.value++;
  }

  /** Someone stands at the end of what is shown, or has gone back from it. */
  stand(atEnd: boolean): void {
    this.reading.stand(atEnd && !this.timeline.detached);
  }

  toLatest(): void {
    this.timeline.showLatest();
    this.stand(true);
    this.revision.value++;
  }

  /** Gets what was said before what is shown. */
  async loadOlder(): Promise<void> {
    const { before } = this.timeline;
    if (!before || this.loading.value || !this.loaded.value) return;
    await this.#ask({ before: before.seq }, before.epoch, (page) => this.timeline.addOlder(page));
  }

  /** Shows what was said after what is shown. */
  async loadNewer(): Promise<void> {
    if (!this.timeline.detached || this.loading.value) return;
    const after = this.timeline.showNewer();
    this.revision.value++;
    if (after) await this.#ask({ after: after.seq }, after.epoch, (page) => this.timeline.addNewer(page));
  }

  /** Gets what is missing, as far as the server has it. */
  async fill(missing: Missing): Promise<void> {
    await this.#ask({ after: missing.from - 1 }, missing.epoch, (page) => this.timeline.fill(missing, page));
  }

  async #ask(of: { before?: number; after?: number }, epoch: string, put: (page: Page) => void): Promise<void> {
    if (!this.#room) return;
    this.loading.value = true;
    try {
      const { messages, more } = await this.#room.history({ ...of, limit: PAGE });
      if (this.#room.place?.epoch !== epoch) return; // that log is gone
      put({ messages: messages.map((message) => saidOf(message, epoch)), more });
      this.trouble.value = '';
      this.revision.value++;
    } catch (error) {
      if ((error as HubError).code === 'closed') return; // another connection takes over
      this.trouble.value = `Older messages could not be had: ${(error as Error).message}.`;
    } finally {
      this.loading.value = false;
    }
  }

  // ── What the server tells ─────────────────────────────────────────────────────────────────────────────────────────

  #onJoined({ place, again }: { place: Place; again: boolean }): void {
    const before = this.#incoming.at(-1) ?? this.timeline.entries.findLast((entry) => entry.kind === 'said');
    this.#before = new Set(this.people.value);
    this.#backAt = performance.now();
    batch(() => {
      this.standing.value = { name: 'in' };
      this.#showPeople();
      this.reading.begin(place);
      this.outgoing.refresh();
      if (before && before.epoch !== place.epoch) {
        const text = 'The room begins anew here: the server no longer has what was said before.';
        this.#add({ kind: 'note', key: this.timeline.key(), text });
      }
    });
    if (!this.loaded.value && !again) void this.#loadLast(place);
  }

  /** What was said last before one came. */
  async #loadLast({ epoch, seq }: Place): Promise<void> {
    if (seq > 0) await this.#ask({ before: seq + 1 }, epoch, (page) => this.timeline.addOlder(page));
    this.loaded.value = true;
    this.reading.settle();
    this.revision.value++;
  }

  #onMessage(message: Message<Text>): void {
    const said = saidOf(message, this.#room?.place?.epoch ?? '');
    this.#incoming.push(said);
    this.typing.stopped(said.from);
    this.#show();
  }

  #onGap({ from, to, why }: Gap): void {
    const epoch = this.#room?.place?.epoch ?? '';
    this.#add({ kind: 'missing', key: `${epoch}:${from}-${to}`, epoch, from, to, why, lost: false });
  }

  #onPresence({ joined, left }: { joined: readonly string[]; left: readonly string[] }): void {
    const before = new Set(this.people.value);
    const back = performance.now() - this.#backAt < COME_BACK_MS ? this.#before : new Set();
    this.#showPeople();
    const there = new Set(this.people.value);
    const isNews = (name: string) => name !== this.#me && !back.has(name) && before.has(name) !== there.has(name);
    const came = [...new Set(joined)].filter((name) => there.has(name) && isNews(name));
    const went = [...new Set(left)].filter((name) => !there.has(name) && isNews(name));
    for (const name of went) this.typing.stopped(name);
    if (came.length + went.length === 0) return;
    this.#paint();
    this.timeline.mergeComing(came, went, !this.reading.atLatest);
    this.#show();
  }

  #showPeople(): void {
    this.people.value = this.#room?.members;
    this.count.value = this.#room?.count ?? 0;
  }

  /** Adds what is no message, after all that have come. */
  #add(entry: Missing | Note): void {
    this.#paint();
    this.timeline.add([entry], !this.reading.atLatest);
    this.#show();
  }

  #paint(): void {
    const said = this.#incoming;
    this.#incoming = [];
    batch(() => {
      if (said.length > 0) this.#addSaid(said);
      this.reading.reach(this.#room?.place);
      this.revision.value++;
    });
  }

  #addSaid(said: readonly Said[]): void {
    const { reading } = this;
    const others = said.filter(({ from }) => from !== this.#me);
    this.timeline.add(said, !reading.atLatest);
    if (!reading.atLatest) reading.below.value += others.length;
    if (others.length < said.length && reading.looking) reading.line.value = undefined;
    if (others.length > 0) this.#listener.heard(this, others);
    this.outgoing.refresh();
  }
}

function saidOf({ seq, id, from, at, data }: Message<Text>, epoch: string): Said {
  return { kind: 'said', key: `${epoch}:${seq}`, epoch, seq, id, from, at, text: textOf(data) };
}

/** What a program said may be anything. */
function textOf(data: unknown): string {
  if (typeof data === 'object' && data !== null && 'text' in data && typeof data.text === 'string') return data.text;
  return typeof data === 'string' ? data : JSON.stringify(data);
}
