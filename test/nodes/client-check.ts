import type { Json, Place } from '../../src/protocol/v1.ts';
import type { ClientHistory, Lost, ReceivedMessage, Timed } from './history.ts';
import { type Logs, logOf } from './logs.ts';
import type { Violation } from './violation.ts';

/** A message that a client sent. */
export interface SentMessage {
  readonly client: string;
  /** Its number among the client's messages, by their first transmission. */
  readonly order: number;
  readonly data: Json;
  /**
   * Whether a node has rejected it, or it was sent again after its `sent`: then a later message may
   * be stored before it.
   */
  rejected: boolean;
  answered: boolean;
}

/** An acknowledged message. */
export interface Acknowledged {
  readonly epoch: string;
  readonly seq: number;
  /** Whether the client was notified that it is lost. */
  lost: boolean;
}

/** A message that was acknowledged twice, at different places. */
export interface Reacknowledged {
  readonly id: string;
  readonly earlier: Place;
  readonly later: Place;
}

type Joined = Extract<Timed, { kind: 'joined' }>;
type Gap = Extract<Timed, { kind: 'gap' }>;

/**
 * Follows the history of one client: its place, what it received, and what it was notified of. Adds
 * to the room's logs what it learned.
 */
export class ClientCheck {
  readonly violations: Violation[] = [];
  readonly acknowledged = new Map<string, Acknowledged>();
  /** Right only if the earlier place is lost, which the client need not have been notified of. */
  readonly reacknowledged: Reacknowledged[] = [];
  readonly #history: ClientHistory;
  readonly #logs: Logs;
  readonly #messages: ReadonlyMap<string, SentMessage>;
  #place: Place | undefined;
  #joined = false;
  /** The join that is not answered yet. */
  #request: Extract<Timed, { kind: 'join' }> | undefined;
  /** The gap that must follow, because `joined` skipped messages. */
  #expectedGap: Lost | undefined;
  /** The `seq` of each id that it received in the present log and has not lost. */
  #receivedIds = new Map<string, number>();
  /** By sender, the newest message that it received. */
  #newest = new Map<string, number>();

  constructor(history: ClientHistory, logs: Logs, messages: ReadonlyMap<string, SentMessage>) {
    this.#history = history;
    this.#logs = logs;
    this.#messages = messages;
    for (const event of history.events) this.#follow(event);
    this.#requireNoGap();
  }

  get name(): string {
    return this.#history.name;
  }

  get joined(): boolean {
    return this.#joined;
  }

  get place(): Place | undefined {
    return this.#place;
  }

  #follow(event: Timed): void {
    if (event.kind === 'join') this.#request = event;
    else if (event.kind === 'joined') this.#onJoined(event);
    else if (event.kind === 'message') this.#onMessage(event);
    else if (event.kind === 'gap') this.#onGap(event);
    else if (event.kind === 'sent') this.#onSent(event.id, event.seq);
    else if (event.kind === 'history') this.#onHistory(event.messages);
    else if (event.kind === 'opened' || event.kind === 'closed') {
      this.#joined = false;
      this.#request = undefined;
      this.#expectedGap = undefined; // it may be lost with the connection
    }
  }

  #onJoined(joined: Joined): void {
    this.#requireNoGap();
    const request = this.#request;
    this.#request = undefined;
    this.#joined = true;
    const before = request ? request.since : this.#place;
    if (before === undefined) this.#start(joined);
    else if (logOf(before.epoch) !== logOf(joined.epoch)) this.#replace(joined);
    else this.#continueFrom(before, joined, request !== undefined);
    this.#place = { epoch: joined.epoch, seq: joined.seq };
  }

  #start({ recovered, lost }: Joined): void {
    this.#forget(0);
    if (!recovered || lost) this.#add('unreported', 'a first join is not recovered');
  }

  /** The log was replaced: nothing of it is left, and the client is notified by the new epoch. */
  #replace({ epoch, seq, recovered }: Joined): void {
    this.#forget(0);
    for (const message of this.acknowledged.values()) message.lost = true;
    if (recovered) this.#add('unreported', `recovered in ${epoch}, which is another log`);
    if (seq > 0) this.#expectedGap = { from: 1, to: seq };
  }

  #continueFrom(before: Place, joined: Joined, isReply: boolean): void {
    const { epoch, seq, recovered, lost } = joined;
    const from = `after ${before.epoch} ${before.seq}`;
    this.#logs.link(this.name, before, epoch, lost);
    if (recovered && lost) this.#add('unreported', `${epoch} is recovered ${from}, and names lost messages`);
    if (lost) this.#lose(before, joined, lost, isReply);
    else if (before.seq < (this.#place?.seq ?? 0)) this.#forget(before.seq + 1);
    const base = lost ? Math.min(before.seq, lost.from - 1) : before.seq;
    if (seq > base && !recovered) this.#expectedGap = { from: base + 1, to: seq };
    else if (seq !== base)
      this.#add('unreported', `${epoch} continues at ${seq} ${from} without naming what is missing`);
    else if (!recovered && !lost)
      this.#add('unreported', `${epoch} is not recovered ${from}, and names nothing missing`);
  }

  #lose(before: Place, { epoch }: Joined, lost: Lost, isReply: boolean): void {
    const range = `${lost.from} to ${lost.to}`;
    if (before.epoch === epoch) this.#add('unreported', `${range} are lost within ${epoch}`);
    // The answer to a resume is exact. Members get the range up to their node's head.
    const isExact = isReply ? lost.to === before.seq && lost.from <= before.seq : lost.to >= before.seq;
    if (!isExact || lost.from < 1 || lost.from > lost.to) {
      this.#add('unreported', `${range} are named as lost after ${before.epoch} ${before.seq}`);
    }
    this.#forget(lost.from);
    for (const message of this.acknowledged.values()) {
      if (message.seq >= lost.from && message.seq <= lost.to) message.lost = true;
    }
  }

  /** Forgets that it received the messages from a `seq` on. */
  #forget(from: number): void {
    const kept = [...this.#receivedIds].filter(([, seq]) => seq < from);
    this.#receivedIds = new Map(kept);
    this.#newest = new Map();
    for (const [id] of kept) this.#note(id);
  }

  #onMessage(message: ReceivedMessage): void {
    this.#requireNoGap();
    const { seq, id } = message;
    const { epoch, seq: last } = this.#place ?? { epoch: '', seq: 0 };
    if (!this.#joined) this.#add('hole', `received ${seq} before it joined`);
    if (seq !== last + 1) this.#add(seq > last ? 'hole' : 'repeat', `received ${seq} after ${last} of ${epoch}`);
    this.#place = { epoch, seq };
    this.#logs.add(this.name, epoch, message);
    if (id === '') return;
    const earlier = this.#receivedIds.get(id);
    if (earlier !== undefined) this.#add('repeat', `received ${id} as ${earlier} and ${seq}`);
    this.#receivedIds.set(id, seq);
    this.#checkSender(message);
  }

  #checkSender({ seq, id, from, data }: ReceivedMessage): void {
    const message = this.#messages.get(id);
    if (!message || message.client !== from || JSON.stringify(message.data) !== JSON.stringify(data)) {
      this.#add('foreign', `received ${seq}: ${id} of ${from}, which ${from} did not send`);
      return;
    }
    const newest = this.#newest.get(from) ?? -1;
    if (!message.rejected && message.order < newest) {
      this.#add('order', `received ${id} of ${from} after a message that ${from} sent later`);
    }
    this.#note(id);
  }

  #note(id: string): void {
    const message = this.#messages.get(id);
    if (!message || message.rejected) return;
    this.#newest.set(message.client, Math.max(message.order, this.#newest.get(message.client) ?? -1));
  }

  #onGap({ from, to }: Gap): void {
    const { epoch, seq } = this.#place ?? { epoch: '', seq: 0 };
    const expected = this.#expectedGap ?? { from: seq + 1, to: Math.max(to, seq + 1) };
    this.#expectedGap = undefined;
    if (from !== expected.from || to !== expected.to) {
      this.#add('hole', `a gap names ${from} to ${to} instead of ${expected.from} to ${expected.to} of ${epoch}`);
    }
    this.#logs.addGap(epoch, from, to);
    this.#place = { epoch, seq: to };
  }

  #onSent(id: string, seq: number): void {
    const { epoch } = this.#place ?? { epoch: '' };
    const earlier = this.acknowledged.get(id);
    if (earlier && !earlier.lost && earlier.seq !== seq) {
      this.reacknowledged.push({ id, earlier, later: { epoch, seq } });
    }
    if (this.#messages.get(id)?.client !== this.name) this.#add('sent', `${id} is acknowledged and was not sent`);
    this.acknowledged.set(id, { epoch, seq, lost: false });
  }

  #onHistory(messages: readonly ReceivedMessage[]): void {
    const { epoch } = this.#place ?? { epoch: '' };
    for (const [i, message] of messages.entries()) {
      const last = messages[i - 1]?.seq;
      if (last !== undefined && message.seq !== last + 1) this.#add('hole', `history has ${message.seq} after ${last}`);
      this.#logs.add(this.name, epoch, message);
    }
  }

  #requireNoGap(): void {
    const { from, to } = this.#expectedGap ?? {};
    this.#expectedGap = undefined;
    if (from !== undefined) this.#add('hole', `no gap names ${from} to ${to}, which were skipped`);
  }

  #add(kind: Violation['kind'], text: string): void {
    this.violations.push({ kind, client: this.name, text });
  }
}
