import type { Events } from './events.ts';
import { stepFrame } from './frames.ts';
import { answerHistory, type HistoryRequest } from './history.ts';
import { Mailboxes } from './mailbox.ts';
import type { Departure, Registration } from './memberships.ts';
import { assemble, type HubOptions, type Parts } from './parts.ts';
import type { Cursor, Draft, Signal, Subscriber } from './ports.ts';
import type { Room } from './room.ts';
import type { HubSettings } from './settings.ts';

type Posts = { register: Registration | HistoryRequest; unregister: Departure; broadcast: Draft | Signal };

/**
 * The Hub: an actor that owns the rooms and their members. Others post to its three mailboxes; `run` alone touches its
 * state, one turn at a time, in the order of arrival over all three.
 *
 * A turn: take commands, let the engine commit what was broadcast, let those who are behind read on, hand what is new to
 * the members in step.
 */
export class Hub {
  readonly events: Events;
  readonly settings: HubSettings;
  readonly #parts: Parts;
  readonly #mailboxes: Mailboxes<Posts>;
  readonly #turn = () => this.#run();
  readonly #wake = () => {
    if (!this.#awake) this.#parts.scheduler.soon(this.#turn);
    this.#awake = true;
  };
  #awake = false;
  #holdsBack = true;

  constructor(options: HubOptions) {
    this.#parts = assemble(options, this.#wake);
    this.events = this.#parts.events;
    this.settings = this.#parts.settings;
    this.#mailboxes = new Mailboxes<Posts>(this.settings.mailboxes);
  }

  /** Opens the engine. Call it once, before the first post. */
  async open(): Promise<void> {
    await this.#parts.ledger.open(this.#wake);
  }

  /**
   * Asks for membership: from the head on, from the place after `since`, or with the last `history` records.
   * @returns false when the mailbox is full.
   */
  register(subscriber: Subscriber, room: string, since?: Cursor, history = 0): boolean {
    return this.#posted('register', this.#mailboxes.post('register', { subscriber, room, since, history }));
  }

  /** Asks for records that were said before or after a place. @returns false when the mailbox is full. */
  history(request: HistoryRequest): boolean {
    return this.#posted('register', this.#mailboxes.post('register', request));
  }

  /**
   * Ends a membership or, without `room`, all of a subscriber's.
   * @returns false when the mailbox is full; never for all of them, which a subscriber asks for once, when it has closed.
   */
  unregister(subscriber: Subscriber, room?: string): boolean {
    if (room === undefined) this.#mailboxes.postAnyway('unregister', { subscriber, room });
    return this.#posted('unregister', room === undefined || this.#mailboxes.post('unregister', { subscriber, room }));
  }

  /** Sends a message to a room. @returns false when the mailbox is full: the sender should wait and try again. */
  broadcast(draft: Draft): boolean {
    return this.#posted('broadcast', this.#mailboxes.post('broadcast', draft));
  }

  /** Tells those who are in a room something that is not kept. @returns false when the mailbox is full. */
  signal(signal: Signal): boolean {
    return this.#posted('broadcast', this.#mailboxes.post('broadcast', signal));
  }

  /** The subscriber's socket takes data again. */
  drained(subscriber: Subscriber): void {
    this.#parts.stragglers.add(subscriber);
    this.#wake();
  }

  /** How many rooms are in memory. */
  get rooms(): number {
    return this.#parts.rooms.size;
  }

  /** How many posts wait in a mailbox. */
  waiting(mailbox: keyof Posts): number {
    return this.#mailboxes.boxes[mailbox].size;
  }

  /** Runs turns until all that was posted is done and sent, what coalescing held back too: for an orderly end. */
  async settle(): Promise<void> {
    this.#holdsBack = false;
    do {
      while (this.#busy() || this.#parts.ledger.dirty.length > 0) this.#run();
    } while (await this.#parts.ledger.outcome());
    this.#holdsBack = true;
  }

  /** Ends the Hub. Post nothing afterwards. */
  async close(): Promise<void> {
    const { rooms, hold, presence, ledger } = this.#parts;
    rooms.close();
    hold.close();
    presence.close();
    await ledger.close();
  }

  #posted(mailbox: keyof Posts, taken: boolean): boolean {
    if (taken) this.#wake();
    else this.events.emit('overloaded', { mailbox, capacity: this.settings.mailboxes[mailbox] });
    return taken;
  }

  #run(): void {
    const { ledger, stragglers, presence, notices, frames } = this.#parts;
    this.#awake = true;
    ledger.begin();
    this.#takeCommands();
    ledger.commit();
    stragglers.readOn(); // before the flush, which trims the logs that they read
    presence.flush();
    this.#flush();
    notices.release();
    frames.forget();
    this.#awake = false;
    if (this.#busy()) this.#wake();
  }

  #busy(): boolean {
    return this.#mailboxes.size + this.#parts.ledger.size + this.#parts.stragglers.size > 0;
  }

  /** As much as the turn's budget allows: what is left waits until sockets have been read. */
  #takeCommands(): void {
    const { boxes } = this.#mailboxes;
    let { commands, bytes } = this.settings.turn;
    for (let first = this.#mailboxes.first(); first && commands-- > 0 && bytes > 0; first = this.#mailboxes.first()) {
      if (first === 'broadcast') bytes -= this.#say(boxes.broadcast.take());
      else if (first === 'register') this.#ask(boxes.register.take());
      else this.#parts.memberships.leave(boxes.unregister.take());
    }
  }

  /** @returns how many bytes of the turn's budget it takes. */
  #say(said: Draft | Signal): number {
    if (!('signal' in said)) return this.#parts.ledger.draft(said);
    this.#parts.presence.signal(this.#parts.rooms.get(said.room), said);
    return 0;
  }

  #ask(asked: Registration | HistoryRequest): void {
    if ('limit' in asked) answerHistory(asked, this.#parts.rooms, this.#parts.notices);
    else this.#parts.memberships.join(asked);
  }

  #flush(): void {
    const { ledger, hold } = this.#parts;
    for (const room of ledger.takeDirty()) {
      if (this.#holdsBack && hold.keeps(room)) ledger.dirty.push(room);
      else this.#flushRoom(room);
    }
  }

  /** The fast path: every member in step is handed the same frames. */
  #flushRoom(room: Room): void {
    const { head } = room.log;
    for (const group of room.groups) {
      const { members } = group;
      for (let at = room.flushed; at < head && members.length > 0; ) {
        const frame = stepFrame(group, at);
        for (const member of members)
          if (member.cursor === at && member.pump.writable) member.pump.advance(member, frame);
        at = frame.to;
      }
      for (const member of members) if (member.cursor !== head) this.#parts.stragglers.note(member);
    }
    room.flushed = head;
    room.log.trim();
    room.dirtySince = undefined;
  }
}
