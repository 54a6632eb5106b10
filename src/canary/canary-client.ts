import type { CanaryCounter } from './readings.ts';
import type { Connect, SdkHub, SdkRoom, SdkState } from './sdk.ts';
import { StreamCheck } from './stream-check.ts';
import { type OwnCertificate, tappedSocket } from './tapped-socket.ts';

export interface CanaryClientOptions {
  readonly connect: Connect;
  readonly url: string;
  readonly user: string;
  readonly room: string;
  /** Tells this canary's messages from those of an earlier one, or of another one in the room. */
  readonly run: string;
  readonly token: () => string;
  readonly certificate?: OwnCertificate | undefined;
  readonly counter: CanaryCounter;
  /** Called when it has become a member, and when it has stopped being one. */
  readonly onMembership: () => void;
  /** Called with the reason whenever an attempt to connect has failed. */
  readonly onFailure: (why: string) => void;
  /** Milliseconds after which a message that was skipped is missing. @default 10000 */
  readonly graceMs?: number;
  /** Milliseconds within which a send must be acknowledged. @default 10000 */
  readonly ackMs?: number;
}

/** The data of a canary's message. */
interface Beat {
  readonly run: string;
  readonly user: string;
  /** From 1 on, without a hole. */
  readonly number: number;
  /** When it was sent, by `performance.now()` of the canary's thread. */
  readonly at: number;
}

const GRACE_MS = 10_000;
const ACK_MS = 10_000;

// A server that refuses the canary is asked again after a delay that doubles, in milliseconds.
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

/** One client of a canary: a user of the client library that sends, receives and counts. */
export class CanaryClient {
  readonly #options: CanaryClientOptions;
  #hub: SdkHub;
  #room: SdkRoom;
  /** By sender. */
  readonly #checks = new Map<string, StreamCheck>();
  /** When the sends that wait for their acknowledgement were made, oldest first. */
  readonly #unacknowledged = new Map<number, number>();
  #number = 0;
  #isMember = false;
  /** Why the last connection failed. */
  #failure: string | undefined;
  #retryMs = FIRST_RETRY_MS;
  #retryTimer: NodeJS.Timeout | undefined;

  constructor(options: CanaryClientOptions) {
    this.#options = options;
    this.#hub = this.#connect();
    this.#room = this.#join();
  }

  get isMember(): boolean {
    return this.#isMember;
  }

  /** How many sends wait for their acknowledgement. */
  get unacknowledged(): number {
    return this.#unacknowledged.size;
  }

  /** Sends the next message while it is a member. Counts what has come, and what is overdue. */
  beat(): void {
    const { counter, run, user } = this.#options;
    const now = performance.now();
    this.#count(now);
    // The library would keep the message, and send all of an outage at its end.
    if (!this.#isMember) return;
    const number = ++this.#number;
    const beat: Beat = { run, user, number, at: now };
    this.#unacknowledged.set(number, now);
    counter.add('sent');
    // A rejected send is overdue later.
    this.#room.send(beat).then(
      () => this.#unacknowledged.delete(number),
      () => {},
    );
  }

  close(): void {
    clearTimeout(this.#retryTimer);
    this.#hub.close();
  }

  #connect(): SdkHub {
    const { connect, url, user, token, certificate, onFailure } = this.#options;
    const WebSocket = tappedSocket({
      token,
      certificate,
      onLine: (line) => this.#onLine(line),
      onFailure: (why) => {
        this.#failure = why;
      },
    });
    const hub = connect(url, { user, token, storage: false, transport: 'websocket', WebSocket });
    hub.on('state', (state) => this.#onState(state));
    hub.on('error', ({ message }) => {
      onFailure(message);
      // The join is rejected: only another connection asks again.
      if (!this.#isMember) this.#startOver();
    });
    return hub;
  }

  #join(): SdkRoom {
    const room = this.#hub.join(this.#options.room);
    room.on('joined', () => this.#onJoined());
    // An operator has removed it. The library does not come back by itself.
    room.on('removed', ({ message }) => {
      this.#onLoss();
      this.#options.onFailure(message);
      this.#startOver();
    });
    return room;
  }

  #startOver(): void {
    this.#retryLater(() => {
      this.#hub.close();
      this.#hub = this.#connect();
      this.#room = this.#join();
    });
  }

  #onState(state: SdkState): void {
    if (state.name === 'live' || state.name === 'closed') return;
    this.#onLoss();
    if (!('why' in state)) return;
    this.#options.onFailure(this.#failure ?? state.why);
    this.#failure = undefined;
    if (state.name === 'refused') this.#retryLater(() => this.#hub.reconnect());
  }

  #onJoined(): void {
    this.#retryMs = FIRST_RETRY_MS;
    if (this.#isMember) return;
    this.#isMember = true;
    this.#options.onMembership();
  }

  #onLoss(): void {
    if (!this.#isMember) return;
    this.#isMember = false;
    this.#options.counter.add('reconnects');
    this.#options.onMembership();
  }

  #retryLater(retry: () => void): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(retry, this.#retryMs);
    this.#retryMs = Math.min(MAX_RETRY_MS, 2 * this.#retryMs);
  }

  #count(now: number): void {
    const { counter, ackMs = ACK_MS } = this.#options;
    for (const check of this.#checks.values()) {
      const { gaps, repeats, swaps } = check.take(now);
      counter.add('gaps', gaps);
      counter.add('repeats', repeats);
      counter.add('swaps', swaps);
    }
    for (const [number, at] of this.#unacknowledged) {
      if (now - at < ackMs) break;
      this.#unacknowledged.delete(number);
      counter.add('lostAcks');
    }
  }

  #onLine(line: string): void {
    const { run, counter, graceMs = GRACE_MS } = this.#options;
    const beat = beatOf(line);
    if (beat?.run !== run) return;
    const now = performance.now();
    const check = this.#checks.get(beat.user) ?? new StreamCheck(graceMs);
    this.#checks.set(beat.user, check);
    counter.add('received');
    if (check.received(beat.number, now)) counter.addLatency(now - beat.at);
  }
}

/** Returns the data of a canary's message, or undefined for any other line. */
function beatOf(line: string): Beat | undefined {
  try {
    const { t, data } = JSON.parse(line) as { readonly t?: unknown; readonly data?: Beat };
    return t === 'message' ? data : undefined;
  } catch {
    return undefined;
  }
}
