import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import type { LoadOptions } from '../load-options.ts';
import { Plan, random, UNKNOWN } from '../plan.ts';
import { type Place, type Wire, wires } from '../wires/index.ts';
import { Audit, addTo, type Faults, isFaultless, noFaults, type Violation } from './audit.ts';
import { Churn } from './churn.ts';
import { fill } from './fill.ts';
import { type Counts, Histogram } from './histogram.ts';
import { Pace } from './pace.ts';
import { Peer, type Tally } from './peer.ts';
import { Sender } from './sender.ts';

/** The counters of a generator at a time of its own clock. */
export interface Snapshot {
  /** Milliseconds. */
  readonly at: number;
  readonly deliveries: number;
  readonly messages: number;
  /** CPU seconds of its process. */
  readonly cpuSeconds: number;
  /** The share of time that its event loop was busy since the last snapshot. */
  readonly busy: number;
}

/** The current state of a generator. */
export interface State {
  readonly connected: number;
  readonly deliveries: number;
  /** Of the round trips, in milliseconds. */
  readonly p99: number;
}

/** A histogram in a form that can be sent between processes. */
export interface Timings {
  readonly counts: Counts;
  /** Milliseconds. */
  readonly max: number;
}

/** The outcome for the clients of one generator. */
export interface Findings {
  readonly roundTrips: Timings;
  readonly connecting: Timings;
  readonly faults: Faults;
  readonly first: Violation | undefined;
  readonly auditors: number;
  readonly audited: number;
  /** The room and the order hash of each auditor without faults. */
  readonly orderHashes: readonly (readonly [room: number, hash: number])[];
  /** How many clients the server closed, by code: reading, slow and churning ones. */
  readonly closes: Readonly<Record<string, number>>;
  readonly slowCloses: Readonly<Record<string, number>>;
  readonly churnCloses: Readonly<Record<string, number>>;
  readonly visits: number;
  readonly unreturned: number;
}

/** Runs a share of the clients of a load. All methods can be called from another process. */
export class Generator {
  readonly #options: LoadOptions;
  readonly #plan: Plan;
  readonly #wire: Wire;
  readonly #clients: readonly number[];
  readonly #share: number;
  readonly #url: URL;
  readonly #peers = new Map<number, Peer>();
  readonly #slow: Peer[] = [];
  readonly #tally: Tally = { deliveries: 0, window: 0 };
  readonly #roundTrips = new Histogram();
  readonly #connecting = new Histogram();
  readonly #churn: Churn;
  #connected = 0;
  #since: Place | undefined;
  #pace: Pace | undefined;
  #busy: EventLoopUtilization | undefined;

  /** @param share the index of this generator in the load. */
  constructor(options: LoadOptions, share: number) {
    this.#options = options;
    this.#share = share;
    this.#plan = new Plan(options);
    this.#wire = wires[options.wire];
    this.#url = new URL(options.url);
    this.#clients = this.#plan.share(share);
    const perSecond = options.churn / options.generators;
    this.#churn = new Churn(perSecond, random(options.seed + share), () => this.#visitor());
  }

  /** Sends the backlog. @returns the place before its first message. */
  async fill(): Promise<Place> {
    const { backlog, bytes } = this.#options;
    return fill(this.#url, this.#wire, { room: this.#plan.roomName(0), count: backlog, bytes });
  }

  /**
   * Connects all clients. Rejects if one of them fails.
   *
   * @param since the place from which they resume.
   */
  async connect(since: Place | undefined): Promise<void> {
    const { slow, atOnce, generators } = this.#options;
    this.#since = since;
    for (const client of this.#clients) this.#peers.set(client, this.#peer(client));
    const slowClients = Math.floor(slow / generators) + (this.#share < slow % generators ? 1 : 0);
    for (let i = 0; i < slowClients; i++) this.#slow.push(this.#reader({ deliveries: 0, window: 0 }, undefined));
    const queue = [...this.#peers.values(), ...this.#slow].values();
    let failed: unknown;
    const connectNext = async () => {
      for (const peer of queue) {
        const start = performance.now();
        await peer.open().catch((error) => (failed ??= error));
        this.#connecting.record(performance.now() - start);
        this.#connected++;
        if (failed) return;
      }
    };
    await Promise.all(Array.from({ length: Math.ceil(atOnce / generators) }, connectNext));
    if (failed) throw failed;
    for (const peer of this.#slow) peer.pause();
  }

  /** Starts the senders and the churn. */
  start(): void {
    const { rate, window, generators, seed } = this.#options;
    const senders = this.#senders();
    this.#churn.start();
    if (rate === undefined) {
      this.#tally.window = window;
      for (const peer of senders) peer.refill();
      return;
    }
    const next = random(seed + this.#share);
    if (senders.length === 0) return;
    this.#pace = new Pace(rate / generators, (due) => senders[Math.floor(next() * senders.length)]?.send(1, due));
  }

  /** Discards the round trips so far. */
  reset(): void {
    this.#roundTrips.reset();
  }

  snapshot(): Snapshot {
    const { user, system } = process.cpuUsage();
    const busy = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(busy, this.#busy);
    this.#busy = busy;
    const messages = this.#senders().reduce((sum, { sender }) => sum + (sender?.sent ?? 0), 0);
    return {
      at: performance.now(),
      deliveries: this.#tally.deliveries,
      messages,
      cpuSeconds: (user + system) / 1e6,
      busy: utilization,
    };
  }

  state(): State {
    const { deliveries } = this.#tally;
    return { connected: this.#connected, deliveries, p99: this.#roundTrips.percentile(99) };
  }

  /**
   * Stops the senders and the churn.
   *
   * @returns the number of messages that each sender has sent, by client.
   */
  stop(): [number, number][] {
    this.#tally.window = 0;
    this.#pace?.stop();
    this.#churn.stop();
    for (const peer of this.#slow) peer.resume();
    return [...this.#peers].flatMap(([client, { sender, closeCode }]) =>
      sender ? [[client, closeCode === undefined ? sender.sent : UNKNOWN]] : [],
    );
  }

  /**
   * Whether every connected client has received all messages.
   *
   * @param sent the number of messages of each room.
   */
  hasReceivedAll(sent: readonly number[]): boolean {
    for (const [client, { sender, closeCode, received }] of this.#peers) {
      if (closeCode !== undefined) continue;
      const all = received >= (sent[this.#plan.roomOf(client)] ?? 0);
      if (!all || (sender && sender.inFlight > 0)) return false;
    }
    return true;
  }

  /** Whether the slow clients, which now read, have reached their close frames. */
  slowAreClosed(): boolean {
    return this.#slow.every(({ closeCode }) => closeCode !== undefined);
  }

  /** @param sent the number of messages that each client sent. */
  findings(sent: readonly number[]): Findings {
    const faults = noFaults();
    const byRoom = this.#plan.sentByRoom(sent);
    const orderHashes: [number, number][] = [];
    let first: Violation | undefined;
    let audited = 0;
    let auditors = 0;
    let unreturned = 0;
    const finish = (audit: Audit, stayed: boolean) => {
      const found = audit.finish(stayed ? sent : undefined);
      addTo(faults, found);
      audited += audit.received;
      auditors++;
      if (audit.first && audit.first.at < (first?.at ?? Number.POSITIVE_INFINITY)) first = audit.first;
      return isFaultless(found);
    };
    for (const [client, { audit, closeCode, received, sender }] of this.#peers) {
      const room = this.#plan.roomOf(client);
      const stayed = closeCode === undefined;
      if (stayed && sender) unreturned += sender.inFlight + sender.missed;
      if (audit) {
        if (finish(audit, stayed) && stayed) orderHashes.push([room, audit.orderHash]);
      } else if (stayed) {
        const expected = byRoom[room] as number;
        if (received < expected) faults.lost += expected - received;
        else if (received > expected) faults.repeated += received - expected;
        else continue;
        first ??= { at: Date.now(), what: `client ${client} received ${received} messages, expected ${expected}` };
      }
    }
    for (const audit of this.#churn.audits) finish(audit, false);
    const timings = (histogram: Histogram): Timings => ({ counts: histogram.counts(), max: histogram.max });
    return {
      roundTrips: timings(this.#roundTrips),
      connecting: timings(this.#connecting),
      faults,
      first,
      auditors,
      audited,
      orderHashes,
      closes: codesOf(this.#peers.values()),
      slowCloses: codesOf(this.#slow),
      churnCloses: this.#churn.closes,
      visits: this.#churn.visits,
      unreturned,
    };
  }

  /** Closes all connections. */
  async close(): Promise<void> {
    this.stop();
    await Promise.all([...this.#peers.values(), ...this.#slow].map((peer) => peer.close()));
  }

  #peer(client: number): Peer {
    const room = this.#plan.roomOf(client);
    const name = this.#plan.roomName(room);
    const encode = (text: string) => this.#wire.encode(text, name);
    const sender = this.#plan.sends(client)
      ? new Sender(client, this.#options.bytes, encode, (ms) => this.#roundTrips.record(ms))
      : undefined;
    const audit = this.#plan.audits(client) ? new Audit(client, this.#plan.clientsOf(room)) : undefined;
    return new Peer(this.#destination(this.#since), this.#tally, name, sender, audit);
  }

  /** Creates a churning client of the first room, which audits what it receives while connected. */
  #visitor(): Peer {
    const { clients, audit } = this.#options;
    return this.#reader(this.#tally, audit > 0 ? new Audit(clients, this.#plan.clientsOf(0), true) : undefined);
  }

  #reader(tally: Tally, audit: Audit | undefined): Peer {
    return new Peer(this.#destination(undefined), tally, this.#plan.roomName(0), undefined, audit);
  }

  #destination(since: Place | undefined) {
    return { url: this.#url, wire: this.#wire, bytes: this.#options.bytes, since };
  }

  #senders(): Peer[] {
    return [...this.#peers.values()].filter(({ sender }) => sender !== undefined);
  }
}

function codesOf(peers: Iterable<Peer>): Record<string, number> {
  const codes: Record<string, number> = {};
  for (const { closeCode } of peers) if (closeCode !== undefined) codes[closeCode] = (codes[closeCode] ?? 0) + 1;
  return codes;
}
