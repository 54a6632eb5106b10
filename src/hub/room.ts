import type { NowOrLater } from '../protocol/now-or-later.ts';
import type { Place } from '../protocol/v1.ts';
import { foldIntoRun } from './changes.ts';
import { Dedupe } from './dedupe.ts';
import type { Engine, Position } from './engine.ts';
import { Log, type LogRecord } from './log.ts';
import type { Coalesce, HubSettings, SlowPolicy } from './settings.ts';
import type { Encoder, Pump, Subscriber } from './subscriber.ts';
import type { Clock } from './time.ts';
import { Undecided } from './undecided.ts';

/**
 * One client in one room: a cursor in the room's log. Its fields are written by its methods alone.
 */
export class Member {
  readonly subscriber: Subscriber;
  /** The subscriber's pump, kept here because every delivery reads it. */
  readonly pump: Pump;
  readonly room: Room;
  /** The encoder of its frames: that of its group. */
  #encoder: Encoder;
  #cursor: number;
  #live: boolean;
  #lagging = false;
  #missedPresence = false;
  #acknowledged = 0;
  #sent = 0;
  #index: number;

  /** @param index its index among the members of its group. */
  constructor(subscriber: Subscriber, room: Room, encoder: Encoder, cursor: number, index: number) {
    this.subscriber = subscriber;
    this.pump = subscriber.pump;
    this.room = room;
    this.#encoder = encoder;
    this.#cursor = cursor;
    this.#live = cursor === room.log.head;
    this.#index = index;
  }

  get encoder(): Encoder {
    return this.#encoder;
  }

  /** Whether it is handed changes of messages as such. */
  get getsChanges(): boolean {
    return this.#encoder === this.pump.encoder.withChanges;
  }

  /** The client has been handed every record up to here, or been notified of the gap. */
  get cursor(): number {
    return this.#cursor;
  }

  /** How many records it has not been handed. */
  get behind(): number {
    return this.room.log.head - this.#cursor;
  }

  /**
   * Whether it has stood at the head since it joined. Until then its distance to the head does not
   * evict it.
   */
  get live(): boolean {
    return this.#live;
  }

  /** Index among the members of its group; -1 once it has left. */
  get index(): number {
    return this.#index;
  }

  /** Sets the cursor: to what its pump sent, or past a gap that it was notified of. */
  advanceTo(seq: number): void {
    this.#cursor = seq;
  }

  /** The client was told that its message is stored as `seq`. */
  acknowledgeSend(seq: number): void {
    if (seq > this.#sent) this.#sent = seq;
  }

  /**
   * The log has lost the records after `end`.
   *
   * @returns the last of them that the client knows of, or undefined if it knows of none.
   */
  cutTo(end: number): number | undefined {
    const last = Math.max(this.#cursor, this.#sent);
    this.#cursor = Math.min(this.#cursor, end);
    this.#sent = Math.min(this.#sent, end);
    return last > end ? last : undefined;
  }

  /** The room's head has jumped ahead of it: until it is there, its distance does not evict it. */
  fallBehind(): void {
    this.#live = false;
  }

  /** Its socket accepts no more data while it is behind. @returns whether that is new. */
  park(): boolean {
    const isNew = !this.#lagging;
    this.#lagging = true;
    return isNew;
  }

  /** It stands at the head. @returns whether it was parked before. */
  catchUp(): boolean {
    const wasLagging = this.#lagging;
    this.#live = true;
    this.#lagging = false;
    return wasLagging;
  }

  /** Whether it missed a change of presence: it needs the whole list before the next one. */
  get missesPresence(): boolean {
    return this.#missedPresence;
  }

  /** A change of presence was not sent to it, because its socket accepted no data. */
  missPresence(): void {
    this.#missedPresence = true;
  }

  /** @returns whether it missed a change of presence since the last call. */
  takeMissedPresence(): boolean {
    const missed = this.#missedPresence;
    this.#missedPresence = false;
    return missed;
  }

  /** The application has shown the messages up to `seq`. @returns whether that is news. */
  acknowledge(seq: number): boolean {
    if (seq <= this.#acknowledged) return false;
    this.#acknowledged = seq;
    return true;
  }

  /** It moves to another group, whose encoder this is. */
  encodeBy(encoder: Encoder): void {
    this.#encoder = encoder;
  }

  /** Its index changes when another member leaves; -1 when it leaves itself. */
  moveTo(index: number): void {
    this.#index = index;
  }
}

/** The members of one room that share an encoder. */
export interface Group {
  readonly room: Room;
  readonly encoder: Encoder;
  readonly members: Member[];
}

/** A room: its log and its members. Its fields are written by its methods alone. */
export class Room {
  readonly name: string;
  readonly groups: Group[] = [];
  readonly dedupe: Dedupe;
  readonly undecided = new Undecided();
  /** Its batching; undefined to send each turn's records at once. */
  readonly coalesce: Coalesce | undefined;
  /** Its policy for slow consumers. */
  readonly slow: SlowPolicy;
  readonly #engine: Engine;
  readonly #settings: HubSettings;
  #epoch: string;
  #log: Log;
  #members = 0;
  #flushed: number;
  #dirtySince: number | undefined;
  #usedAt: number;
  #readers = 0;
  #appended = 0;
  #delivered = 0;
  /** The oldest record that has changed since the last `takeChanged`. */
  #changed: number | undefined;
  /** The changes that were committed while records were read, for each reading. */
  readonly #collected = new Set<LogRecord[]>();
  #jumps = 0;
  /** Once it is released: then its engine does not know it any more. */
  #lastFirst: number | undefined;

  /** @param position the log's, which the engine has attached. */
  constructor(name: string, { epoch, seq }: Position, engine: Engine, settings: HubSettings, clock: Clock) {
    const now = clock.now();
    this.name = name;
    this.dedupe = new Dedupe(settings.dedupe, now);
    this.coalesce = settings.coalesce(name);
    this.slow = settings.slow(name);
    this.#engine = engine;
    this.#settings = settings;
    this.#epoch = epoch;
    this.#log = new Log(seq, settings.window);
    this.#flushed = seq;
    this.#usedAt = now;
  }

  /** The life of its log. */
  get epoch(): string {
    return this.#epoch;
  }

  /** The hot window of its log. */
  get log(): Log {
    return this.#log;
  }

  /** How many members it has. */
  get members(): number {
    return this.#members;
  }

  /** The members in step have been handed every record up to here. */
  get flushed(): number {
    return this.#flushed;
  }

  /**
   * When the oldest record after `flushed` was committed, by the Hub's clock; undefined without
   * one.
   */
  get dirtySince(): number | undefined {
    return this.#dirtySince;
  }

  /** When it was last joined, left or sent to, by the Hub's clock. */
  get usedAt(): number {
    return this.#usedAt;
  }

  /** Records that were appended since the last `resetActivity`. */
  get appended(): number {
    return this.#appended;
  }

  /** Records that its members' sockets have accepted since the last `resetActivity`. */
  get delivered(): number {
    return this.#delivered;
  }

  /** Its members' sockets have accepted so many records. Called once for the members of a flush. */
  countDeliveries(records: number): void {
    this.#delivered += records;
  }

  /** Starts to count its records from 0. */
  resetActivity(): void {
    this.#appended = 0;
    this.#delivered = 0;
  }

  /** How many requests wait for records of it. */
  get readers(): number {
    return this.#readers;
  }

  /** The oldest record that can be read, from the log in memory or from the engine. */
  get first(): number {
    return this.#lastFirst ?? Math.min(this.#log.first, this.#engine.position(this.name).first);
  }

  /** Reports whether every record after `seq` can be read. */
  reaches(seq: number): boolean {
    return this.#log.reaches(seq) || (seq <= this.#log.head && seq >= this.first - 1);
  }

  /**
   * Returns the last `seq` that its log shares with the one of `epoch`: the head for the current
   * epoch, undefined for an unknown one.
   */
  shared(epoch: string): number | undefined {
    if (epoch === this.#epoch) return this.#log.head;
    return this.#engine.position(this.name).earlier?.find((end) => end.epoch === epoch)?.seq;
  }

  /** Like `shared`, for an epoch that the log does not have and has diverged from. */
  diverged(epoch: string): number | undefined {
    return this.#engine.divergedEnd?.(this.name, epoch);
  }

  /**
   * Returns at most `limit` of the records after `seq`, oldest first. Ends at the head: the engine
   * may have committed more than the room has appended.
   */
  read(seq: number, limit: number): NowOrLater<readonly LogRecord[]> {
    return this.#engine.read(this.name, seq, Math.max(0, Math.min(limit, this.#log.head - seq)));
  }

  /** A request waits for records: the room stays in memory until `removeReader`. */
  addReader(): void {
    this.#readers++;
  }

  removeReader(): void {
    this.#readers--;
  }

  /** Appends committed records, to be flushed. @returns whether the room was clean before. */
  append(records: readonly LogRecord[], now: number): boolean {
    for (const record of records) {
      this.#log.append(record);
      if (record.extra?.kind === 'change') this.#change(record, record.extra.of);
    }
    this.#appended += records.length;
    this.#usedAt = now;
    const wasClean = this.#dirtySince === undefined;
    this.#dirtySince ??= now;
    return wasClean;
  }

  /** @returns the oldest record that has changed since the last call. */
  takeChanged(): number | undefined {
    const changed = this.#changed;
    this.#changed = undefined;
    return changed;
  }

  /** Starts to collect the changes that are committed while records are read. */
  collectChanges(): LogRecord[] {
    const changes: LogRecord[] = [];
    this.#collected.add(changes);
    return changes;
  }

  /** Ends a collection, which its reading has been answered for. */
  endCollection(changes: LogRecord[]): void {
    this.#collected.delete(changes);
  }

  #change(change: LogRecord, of: number): void {
    foldIntoRun(this.#log, change);
    this.#changed = Math.min(of, this.#changed ?? of);
    for (const changes of this.#collected) changes.push(change);
  }

  /** The members in step have been handed everything: the log may drop its oldest records. */
  finishFlush(): void {
    this.#flushed = this.#log.head;
    this.#dirtySince = undefined;
    this.#log.trim();
  }

  /**
   * Its log goes on after the place, in another life: it drops the records after it.
   *
   * @returns whether it has kept those before it that no member has been handed. Otherwise the
   *   members are to read them.
   */
  moveTo({ epoch, seq }: Place): boolean {
    this.#epoch = epoch;
    this.#jumps++;
    const wasFlushed = this.#flushed >= seq;
    // A lost change is folded into records that are not lost: they are to be read again.
    const isKept = !this.#log.hasChangesAfter(seq) && this.#log.cut(seq);
    if (!isKept) this.#log = new Log(seq, this.#settings.window);
    this.#flushed = isKept ? Math.min(this.#flushed, seq) : seq;
    if (this.#flushed === this.#log.head) this.#dirtySince = undefined;
    return isKept || wasFlushed;
  }

  /** Its log goes on after the place: the records before it are not in memory. */
  skipTo({ epoch, seq }: Place): void {
    this.#epoch = epoch;
    this.#jumps++;
    this.#log = new Log(seq, this.#settings.window);
    this.#flushed = seq;
    this.#dirtySince = undefined;
  }

  /** How often its log has gone on after another place: it has not seen what changed before. */
  get jumps(): number {
    return this.#jumps;
  }

  /** Whether its engine has forgotten it: it cannot be read any more. */
  get isReleased(): boolean {
    return this.#lastFirst !== undefined;
  }

  /** The engine is about to forget it. Reads that are not answered still refer to it. */
  release(): void {
    this.#lastFirst = this.first;
  }

  /** Adds a member that has everything up to `cursor`. @param encoder of its frames. */
  add(subscriber: Subscriber, encoder: Encoder, cursor: number, now: number): Member {
    const { members } = this.group(encoder);
    const member = new Member(subscriber, this, encoder, cursor, members.length);
    members.push(member);
    this.#members++;
    this.#usedAt = now;
    return member;
  }

  /** Removes a member, by putting the last one of its group in its place. */
  remove(member: Member, now: number): void {
    this.#removeFromGroup(member);
    member.moveTo(-1);
    this.#members--;
    this.#usedAt = now;
  }

  /** Moves a member to the group of another encoder. */
  regroup(member: Member, encoder: Encoder): void {
    if (member.encoder === encoder) return;
    this.#removeFromGroup(member);
    const { members } = this.group(encoder);
    member.encodeBy(encoder);
    member.moveTo(members.length);
    members.push(member);
  }

  #removeFromGroup(member: Member): void {
    const { members } = this.group(member.encoder);
    const last = members.pop() as Member;
    if (last !== member) {
      members[member.index] = last;
      last.moveTo(member.index);
    }
  }

  /** Returns the members with this encoder. A room sees few encoders: a scan finds one fastest. */
  group(encoder: Encoder): Group {
    for (const group of this.groups) if (group.encoder === encoder) return group;
    const group: Group = { room: this, encoder, members: [] };
    this.groups.push(group);
    return group;
  }
}
