import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import { type Dialect, dialects, type Place } from '../dialects/index.ts';
import type { LoadOptions } from '../load-options.ts';
import { Plan, random, UNKNOWN } from '../plan.ts';
import { Audit, addTo, type Faults, isNone, none, type Violation } from './audit.ts';
import { Churn } from './churn.ts';
import { fill } from './fill.ts';
import { type Counts, Histogram } from './histogram.ts';
import { Pace } from './pace.ts';
import { Peer, type Tally } from './peer.ts';
import { Sender } from './sender.ts';

/** What a generator has done up to a moment of its own clock. */
export interface Snapshot {
  /** Milliseconds. */
  readonly at: number;
  readonly deliveries: number;
  readonly messages: number;
  /** CPU seconds of its process. */
  readonly cpuSeconds: number;
  /** The share of the time its loop was busy, since the last snapshot. */
  readonly busy: number;
}

/** How its part of a load goes. */
export interface State {
  readonly connected: number;
  readonly deliveries: number;
  /** Milliseconds. */
  readonly p99: number;
}

/** Durations, as they travel. */
export interface Timings {
  readonly counts: Counts;
  /** Milliseconds. */
  readonly max: number;
}

/** What its clients heard, in the end. */
export interface Findings {
  readonly roundTrips: Timings;
  readonly connecting: Timings;
  readonly faults: Faults;
  readonly first: Violation | undefined;
  readonly auditors: number;
  readonly audited: number;
  /** Of each audited client that heard everything: its room, and a digest of the order. */
  readonly orders: readonly (readonly [room: number, order: number])[];
  /** How many clients the server closed with each code: those that read, those that never did, and those that come and go. */
  readonly closes: Readonly<Record<string, number>>;
  readonly slowCloses: Readonly<Record<string, number>>;
  readonly churnCloses: Readonly<Record<string, number>>;
  readonly came: number;
  readonly unreturned: number;
}

/** Some of a load's clients. All of its methods can be called from another process. */
export class Generator {
  readonly #options: LoadOptions;
  readonly #plan: Plan;
  readonly #dialect: Dialect;
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

  /** @param share which of the load's generators it is. */
  constructor(options: LoadOptions, share: number) {
    this.#options = options;
    this.#share = share;
    this.#plan = new Plan(options);
    this.#dialect = dialects[options.wire];
    this.#url = new URL(options.url);
    this.#clients = this.#plan.share(share);
    const perSecond = options.churn / options.generators;
    this.#churn = new Churn(perSecond, random(options.seed + share), () => this.#visitor());
  }

  /** Says what is to be there before anyone comes. @returns where that begins. */
  async fill(): Promise<Place> {
    const { backlog, bytes } = this.#options;
    return fill(this.#url, this.#dialect, { room: this.#plan.roomName(0), count: backlog, bytes });
  }

  /** Connects its clients. Rejects with one clear line when one of them cannot. @param since from where on they want to hear. */
  async connect(since: Place | undefined): Promise<void> {
    const { slow, atOnce, generators } = this.#options;
    this.#since = since;
    for (const client of this.#clients) this.#peers.set(client, this.#peer(client));
    const slowOnes = Math.floor(slow / generators) + (this.#share < slow % generators ? 1 : 0);
    for (let i = 0; i < slowOnes; i++) this.#slow.push(this.#reader({ deliveries: 0, window: 0 }, undefined));
    const waiting = [...this.#peers.values(), ...this.#slow].values();
    let failed: unknown;
    const connecting = async () => {
      for (const peer of waiting) {
        const start = performance.now();
        await peer.open().catch((error) => (failed ??= error));
        this.#connecting.record(performance.now() - start);
        this.#connected++;
        if (failed) return;
      }
    };
    await Promise.all(Array.from({ length: Math.ceil(atOnce / generators) }, connecting));
    if (failed) throw failed;
    for (const peer of this.#slow) peer.pause();
  }

  /** Lets the senders send, and others come and go. */
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

  /** Forgets the round trips so far. */
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

  /** Sends no more. @returns how many messages each of its clients has sent: pairs of a client and a count. */
  stop(): [number, number][] {
    this.#tally.window = 0;
    this.#pace?.stop();
    this.#churn.stop();
    for (const peer of this.#slow) peer.resume();
    return [...this.#peers].flatMap(([client, { sender, code }]) =>
      sender ? [[client, code === undefined ? sender.sent : UNKNOWN]] : [],
    );
  }

  /** Whether all that was sent has come to all who are there. @param sent how many messages in each room. */
  arrived(sent: readonly number[]): boolean {
    for (const [client, { sender, code, heard }] of this.#peers) {
      if (code !== undefined) continue;
      const all = heard >= (sent[this.#plan.roomOf(client)] ?? 0);
      if (!all || (sender && sender.inFlight > 0)) return false;
    }
    return true;
  }

  /** Whether those that never read have read up to their close frames. */
  slowAreGone(): boolean {
    return this.#slow.every(({ code }) => code !== undefined);
  }

  /** @param sent how many messages each client sent. @returns what its clients heard. */
  findings(sent: readonly number[]): Findings {
    const faults = none();
    const byRoom = this.#plan.sentByRoom(sent);
    const orders: [number, number][] = [];
    let first: Violation | undefined;
    let audited = 0;
    let auditors = 0;
    let unreturned = 0;
    const judge = (audit: Audit, whole: boolean) => {
      const found = audit.finish(whole ? sent : undefined);
      addTo(faults, found);
      audited += audit.heard;
      auditors++;
      if (audit.first && audit.first.at < (first?.at ?? Number.POSITIVE_INFINITY)) first = audit.first;
      return isNone(found);
    };
    for (const [client, { audit, code, heard, sender }] of this.#peers) {
      const room = this.#plan.roomOf(client);
      const stayed = code === undefined;
      if (stayed && sender) unreturned += sender.inFlight + sender.missed;
      if (audit) {
        if (judge(audit, stayed) && stayed) orders.push([room, audit.order]);
      } else if (stayed) {
        const due = byRoom[room] as number;
        if (heard < due) faults.lost += due - heard;
        else if (heard > due) faults.repeated += heard - due;
        else continue;
        first ??= { at: Date.now(), what: `client ${client} heard ${heard} messages where ${due} were sent` };
      }
    }
    for (const audit of this.#churn.audits) judge(audit, false);
    const timings = (histogram: Histogram): Timings => ({ counts: histogram.counts(), max: histogram.max });
    return {
      roundTrips: timings(this.#roundTrips),
      connecting: timings(this.#connecting),
      faults,
      first,
      auditors,
      audited,
      orders,
      closes: codesOf(this.#peers.values()),
      slowCloses: codesOf(this.#slow),
      churnCloses: this.#churn.closes,
      came: this.#churn.came,
      unreturned,
    };
  }

  /** Says goodbye. */
  async close(): Promise<void> {
    this.stop();
    await Promise.all([...this.#peers.values(), ...this.#slow].map((peer) => peer.close()));
  }

  #peer(client: number): Peer {
    const room = this.#plan.roomOf(client);
    const name = this.#plan.roomName(room);
    const wrap = (text: string) => this.#dialect.message(text, name);
    const sender = this.#plan.sends(client)
      ? new Sender(client, this.#options.bytes, wrap, (ms) => this.#roundTrips.record(ms))
      : undefined;
    const audit = this.#plan.audits(client) ? new Audit(client, this.#plan.clientsOf(room)) : undefined;
    return new Peer(this.#destination(this.#since), this.#tally, name, sender, audit);
  }

  /** A client that comes late and leaves early, of the first room: it checks what it hears meanwhile. */
  #visitor(): Peer {
    const { clients, audit } = this.#options;
    return this.#reader(this.#tally, audit > 0 ? new Audit(clients, this.#plan.clientsOf(0), true) : undefined);
  }

  #reader(tally: Tally, audit: Audit | undefined): Peer {
    return new Peer(this.#destination(undefined), tally, this.#plan.roomName(0), undefined, audit);
  }

  #destination(since: Place | undefined) {
    return { url: this.#url, dialect: this.#dialect, bytes: this.#options.bytes, since };
  }

  #senders(): Peer[] {
    return [...this.#peers.values()].filter(({ sender }) => sender !== undefined);
  }
}

function codesOf(peers: Iterable<Peer>): Record<string, number> {
  const codes: Record<string, number> = {};
  for (const { code } of peers) if (code !== undefined) codes[code] = (codes[code] ?? 0) + 1;
  return codes;
}
