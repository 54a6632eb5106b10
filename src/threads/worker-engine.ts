import type { Cluster } from '../hub/cluster.ts';
import type { Draft, EngineListener, Position, SharedEngine } from '../hub/engine.ts';
import type { LogRecord } from '../hub/log.ts';
import type { Clock, Scheduler } from '../hub/time.ts';
import type { MembersByNode } from './cluster-methods.ts';
import { FrameDecoder } from './frame-decoder.ts';
import { type DownFrames, FrameEncoder } from './frames.ts';
import type { WorkerLink } from './link.ts';
import type { LogMethods, WorkerMethods } from './log-methods.ts';
import { WorkerRoom, type WorkerRoomContext } from './worker-room.ts';

/** The cluster of a worker, which knows the members of its attached rooms elsewhere. */
export interface WorkerMembers extends Cluster {
  attached(room: string, members: MembersByNode): void;
  released(room: string): void;
}

export interface WorkerEngineOptions {
  readonly link: WorkerLink<LogMethods, WorkerMethods>;
  readonly cluster: WorkerMembers;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
}

const MiB = 1024 * 1024;

// Drafts that wait for room in the ring: past it, they are refused.
const MAX_WAITING_BYTES = 16 * MiB;

const PAUSE_MS = 5;

// How long reads are tried again: a log that moves again and again is as good as away.
const PATIENCE_MS = 10_000;

/** The engine of a worker: the log thread has the log. */
export class WorkerEngine implements SharedEngine {
  readonly dedupes = true;
  readonly cluster: WorkerMembers;
  readonly #link: WorkerLink<LogMethods, WorkerMethods>;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #encoder = new FrameEncoder();
  readonly #rooms = new Map<string, WorkerRoom>();
  readonly #attachments = new Map<number, WorkerRoom>();
  /** Frames that wait for room in the ring. */
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #lastAttachment = 0;
  /** Drafts that are not decided. */
  #undecided = 0;
  #onDecided: (() => void) | undefined;
  #context!: WorkerRoomContext;

  constructor({ link, cluster, clock, scheduler }: WorkerEngineOptions) {
    this.#link = link;
    this.cluster = cluster;
    this.#clock = clock;
    this.#scheduler = scheduler;
  }

  open(listener: EngineListener): void {
    this.#context = {
      listener,
      read: (attachment, after, limit) => this.#link.calls.call('read', attachment, after, limit),
      pause: () => this.#pause(),
    };
    this.#link.calls.serve({ changed: (state) => listener.changed(state) });
    const decoder = new FrameDecoder();
    const frames = this.#frames();
    this.#link.listen({
      received: (buffer, start, end) => decoder.receiveDown(buffer, start, end, frames),
      writable: () => this.#writeWaiting(),
    });
  }

  async attach(name: string): Promise<Position> {
    const room = new WorkerRoom(name, ++this.#lastAttachment, this.#context);
    this.#rooms.set(name, room);
    this.#attachments.set(room.attachment, room);
    try {
      const { position, members } = await this.#link.calls.call('attach', room.attachment, name);
      this.cluster.attached(name, members);
      return room.start(position);
    } catch (error) {
      this.#forget(room);
      throw error;
    }
  }

  position(room: string): Position {
    return this.#room(room).position;
  }

  divergedEnd(room: string, epoch: string): number | undefined {
    return this.#room(room).divergedEnd(epoch);
  }

  append(name: string, drafts: readonly Draft[]): void {
    const { attachment } = this.#room(name);
    this.#undecided += drafts.length;
    for (let at = 0; at < drafts.length; ) {
      const next = this.#encoder.drafts(attachment, drafts, at, this.#link.maxFrame);
      if (next === at || this.#waitingBytes > MAX_WAITING_BYTES) {
        const refused = Math.max(1, next - at);
        this.#encoder.refused(attachment, refused);
        at += refused;
      } else at = next;
      this.#writeOrWait();
    }
  }

  async read(name: string, after: number, limit: number): Promise<readonly LogRecord[]> {
    const room = this.#room(name);
    for (const until = this.#clock.now() + PATIENCE_MS; ; ) {
      const { records, first, moves } = await this.#link.calls.call('read', room.attachment, after, limit);
      if (this.#rooms.get(name) !== room) throw new Error('the room is released');
      // Records of another life are read again, after the listener has been told of it.
      if (moves === room.moves) {
        room.trimmed(first);
        return records;
      }
      if (this.#clock.now() >= until) throw new Error('the log moves on');
      await this.#pause();
    }
  }

  async catchUp(name: string, epochs: readonly string[]): Promise<void> {
    const room = this.#room(name);
    await room.reach(await this.#link.calls.call('catchUp', room.attachment, epochs));
  }

  release(name: string): void {
    const room = this.#rooms.get(name);
    if (room === undefined) return;
    room.release();
    this.#forget(room);
    this.cluster.released(name);
    this.#link.calls.tell('release', room.attachment);
  }

  /** The log thread outlives its workers, so what they have appended is decided. */
  async close(): Promise<void> {
    while (this.#undecided > 0) await new Promise<void>((resolve) => (this.#onDecided = resolve));
  }

  #frames(): DownFrames {
    // A room that is released meanwhile has no frames left to come but these.
    const find = (attachment: number) => this.#attachments.get(attachment);
    return {
      committed: (attachment, records, first) => find(attachment)?.committed(records, first),
      moved: (attachment, position) => find(attachment)?.moved(position),
      skipped: (attachment, position) => find(attachment)?.skipped(position),
      behind: (attachment, seq) => find(attachment)?.behind(seq),
      decided: (attachment, outcomes) => {
        this.#undecided -= outcomes.length;
        find(attachment)?.decided(outcomes);
        this.#onDecided?.();
      },
    };
  }

  #writeOrWait(): void {
    const { buffer, length } = this.#encoder;
    if (this.#waiting.length === 0 && this.#link.write(buffer, length)) return;
    this.#waiting.push(Buffer.from(buffer.subarray(0, length)));
    this.#waitingBytes += length;
  }

  #writeWaiting(): void {
    let written = 0;
    for (const frame of this.#waiting) {
      if (!this.#link.write(frame, frame.length)) break;
      this.#waitingBytes -= frame.length;
      written++;
    }
    this.#waiting.splice(0, written);
  }

  #forget(room: WorkerRoom): void {
    this.#attachments.delete(room.attachment);
    if (this.#rooms.get(room.name) === room) this.#rooms.delete(room.name);
  }

  #room(name: string): WorkerRoom {
    const room = this.#rooms.get(name);
    if (room === undefined) throw new Error(`the room ${JSON.stringify(name)} is not attached`);
    return room;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => void this.#scheduler.after(PAUSE_MS, resolve));
  }
}
