import { unavailable } from '../http/responses.ts';
import type { Clock, Scheduler } from '../hub/time.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import type { Snapshot } from '../protocol/snapshot.ts';
import { type HttpAnswer, SENT, type Socket, type SocketListener } from '../transport/transport.ts';

export interface SnapshotOptions {
  /** Computes a snapshot. Called once at a time. */
  readonly compute: () => Promise<Snapshot>;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** A snapshot could not be computed. */
  readonly failed: (error: unknown) => void;
}

/** How many readers of events there may be. */
export const MAX_VIEWERS = 20;

const INTERVAL_MS = 1_000;

// A reader whose connection accepts nothing for so long is cut.
const STALL_MS = 10_000;

const RETRY_AFTER_S = 5;

const RETRY = Buffer.from('retry: 2000\n\n');

const EVENT_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  // A proxy that compressed or buffered the stream would hold its events back.
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff',
};

/** A snapshot as JSON, and as an event that all viewers get. */
interface Computed {
  readonly at: number;
  readonly json: string;
  readonly event: Uint8Array;
}

/**
 * The snapshots of a process: computed once a second for all viewers, while there are any, and for
 * single requests at most as often.
 */
export class Snapshots {
  readonly #options: SnapshotOptions;
  readonly #viewers = new Set<Viewer>();
  #last: Computed | undefined;
  #pending: Promise<Computed> | undefined;
  #cancelTimer: (() => void) | undefined;

  constructor(options: SnapshotOptions) {
    this.#options = options;
  }

  /** Returns a snapshot as JSON. It is less than a second old. */
  async latest(): Promise<string> {
    const last = this.#last;
    return (last !== undefined && this.#ageOf(last) < INTERVAL_MS ? last : await this.#compute()).json;
  }

  /**
   * Returns a stream with an event each second, or a response of status 503 for too many viewers.
   *
   * @param isAllowed whether the viewer may still read. Asked before each event.
   */
  watch(isAllowed: () => boolean): HttpAnswer {
    if (this.#viewers.size >= MAX_VIEWERS) return unavailable(RETRY_AFTER_S);
    const viewer: Viewer = new Viewer(isAllowed, {
      opened: () => this.#add(viewer),
      closed: () => this.#remove(viewer),
    });
    return { headers: EVENT_HEADERS, listener: viewer };
  }

  /** Computes a snapshot for the viewers at once, as the state of the process has changed. */
  async refresh(): Promise<void> {
    await this.#pending?.catch(() => {}); // it may have the state before
    this.#last = undefined;
    if (this.#viewers.size === 0) return;
    this.#cancelTimer?.();
    await this.#tick();
  }

  /** Ends the streams. */
  close(): void {
    for (const viewer of this.#viewers) viewer.end();
  }

  #ageOf({ at }: Computed): number {
    return this.#options.clock.now() - at;
  }

  /** @returns false if there are too many by now: others may have been added since `watch`. */
  #add(viewer: Viewer): boolean {
    if (this.#viewers.size >= MAX_VIEWERS) return false;
    this.#viewers.add(viewer);
    const age = this.#last === undefined ? INTERVAL_MS : this.#ageOf(this.#last);
    if (this.#last !== undefined && age < INTERVAL_MS) viewer.show(this.#last.event, this.#options.clock.now());
    if (this.#viewers.size === 1) this.#schedule(INTERVAL_MS - age);
    return true;
  }

  #remove(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    if (this.#viewers.size > 0) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #schedule(ms: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#options.scheduler.after(Math.max(0, ms), () => void this.#tick());
  }

  async #tick(): Promise<void> {
    this.#cancelTimer = undefined;
    const { clock, failed } = this.#options;
    const startedAt = clock.now();
    try {
      const { event } = await this.#compute();
      for (const viewer of this.#viewers) viewer.show(event, clock.now());
    } catch (error) {
      failed(error);
    }
    // A timer runs already if all viewers have left meanwhile and others have come.
    if (this.#viewers.size > 0 && this.#cancelTimer === undefined) {
      this.#schedule(startedAt + INTERVAL_MS - clock.now());
    }
  }

  #compute(): Promise<Computed> {
    this.#pending ??= this.#options
      .compute()
      .then((snapshot) => {
        const json = JSON.stringify(snapshot);
        const event = Buffer.from(`event: snapshot\ndata: ${json}\n\n`);
        this.#last = { at: this.#options.clock.now(), json, event };
        return this.#last;
      })
      .finally(() => {
        this.#pending = undefined;
      });
    return this.#pending;
  }
}

/** Receives the changes of a viewer. */
interface ViewerListener {
  /** @returns whether the viewer may stay. */
  opened(): boolean;
  closed(): void;
}

/** A reader of events. One event at most waits for its connection: the others are left out. */
class Viewer implements SocketListener {
  readonly #isAllowed: () => boolean;
  readonly #listener: ViewerListener;
  #socket: Socket | undefined;
  #stalledSince: number | undefined;

  constructor(isAllowed: () => boolean, listener: ViewerListener) {
    this.#isAllowed = isAllowed;
    this.#listener = listener;
  }

  open(socket: Socket): void {
    this.#socket = socket;
    socket.send(RETRY);
    if (!this.#listener.opened()) this.#end(closes.busy);
  }

  /** A stream has no messages. */
  message(): void {}

  /** Nor pongs. */
  pong(): void {}

  drain(): void {
    this.#stalledSince = undefined;
  }

  close(): void {
    this.#listener.closed();
  }

  /** Sends an event if the connection has accepted the one before, and cuts it after a while. */
  show(event: Uint8Array, now: number): void {
    const socket = this.#socket as Socket;
    if (!this.#isAllowed()) this.#end(closes.unauthenticated);
    else if (this.#stalledSince === undefined) {
      if (socket.send(event) !== SENT) this.#stalledSince = now;
    } else if (now - this.#stalledSince >= STALL_MS) this.#end(closes.abnormal);
  }

  /** The server stops. */
  end(): void {
    this.#end(closes.goingAway);
  }

  /** A stream takes some time to close. Its viewer counts no more. */
  #end(close: Close): void {
    this.#listener.closed();
    this.#socket?.close(close);
  }
}
