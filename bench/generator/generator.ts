import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import type { LoadOptions } from '../load-options.ts';
import type { ClientOrder } from '../order.ts';
import { Plan, random, UNKNOWN } from '../plan.ts';
import { type Place, type Wire, wires } from '../wires/index.ts';
import { Audit, type AuditSettings, addTo, type Faults, isFaultless, noFaults, type Violation } from './audit.ts';
import { Churn } from './churn.ts';
import { Crossings } from './crossings.ts';
import { fill } from './fill.ts';
import { type Counts, Histogram } from './histogram.ts';
import { Pace } from './pace.ts';
import { Pauses } from './pauses.ts';
import { type Destination, Peer, type Tally } from './peer.ts';
import { Sender, type SenderListener } from './sender.ts';

/** The counters of a generator at a time of its own clock. */
export interface Snapshot {
  /** Milliseconds. */
  readonly at: number;
  readonly deliveries: number;
  /** Frames with at least one message. */
  readonly frames: number;
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

/** The state of the clients that did not read during the load. */
export interface SlowState {
  readonly open: number;
  /** Messages that they have received. */
  readonly received: number;
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
  /** From when a message was due to its receipt by auditors of other nodes. */
  readonly crossings: Timings;
  readonly faults: Faults;
  readonly first: Violation | undefined;
  readonly auditors: number;
  readonly audited: number;
  /** Of each auditor without faults. */
  readonly orders: readonly ClientOrder[];
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
  readonly #urls: readonly URL[];
  readonly #peers = new Map<number, Peer>();
  readonly #slow: Peer[] = [];
  readonly #tally: Tally = { deliveries: 0, frames: 0, window: 0 };
  readonly #roundTrips = new Histogram();
  readonly #connecting = new Histogram();
  readonly #crossings: Crossings;
  readonly #churn: Churn;
  readonly #pauses: Pauses | undefined;
  #connected = 0;
  #since: Place | undefined;
  #pace: Pace | undefined;
  #busy: EventLoopUtilization | undefined;
  #waited = 0;

  /** @param share the index of this generator in the load. */
  constructor(options: LoadOptions, share: number) {
    this.#options = options;
    this.#share = share;
    this.#plan = new Plan(options);
    this.#wire = wires[options.wire];
    this.#urls = options.urls.map((url) => new URL(url));
    this.#crossings = new Crossings(this.#plan);
    this.#clients = this.#plan.share(share);
    this.#pauses = this.#plan.hasReaders && share > 0 ? new Pauses(options.readInterval) : undefined;
    const perSecond = options.churn / options.generators;
    this.#churn = new Churn(perSecond, random(options.seed + share), () => this.#visitor());
  }

  /** Sends the backlog. @returns the place before its first message. */
  async fill(): Promise<Place> {
    const { backlog, bytes } = this.#options;
    return fill(this.#urlOf(0), this.#wire, { room: this.#plan.roomName(0), count: backlog, bytes });
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
    for (let i = 0; i < slowClients; i++)
      this.#slow.push(this.#reader(i, { deliveries: 0, frames: 0, window: 0 }, undefined));
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
    this.#pauses?.start();
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
    this.#crossings.times.reset();
  }

  snapshot(): Snapshot {
    const { user, system } = process.cpuUsage();
    const busy = performance.eventLoopUtilization();
    const { idle, active } = performance.eventLoopUtilization(busy, this.#busy);
    const waited = (this.#pauses?.waited ?? 0) - this.#waited;
    this.#busy = busy;
    this.#waited += waited;
    const messages = this.#senders().reduce((sum, { sender }) => sum + (sender?.sent ?? 0), 0);
    return {
      at: performance.now(),
      deliveries: this.#tally.deliveries,
      frames: this.#tally.frames,
      messages,
      cpuSeconds: (user + system) / 1e6,
      busy: (active - waited) / (idle + active),
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
    this.#pauses?.stop();
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

  /** @returns how many slow clients, which now read, have not reached a close frame. */
  slowState(): SlowState {
    const closed = this.#slow.filter(({ closeCode }) => closeCode !== undefined).length;
    const received = this.#slow.reduce((sum, peer) => sum + peer.received, 0);
    return { open: this.#slow.length - closed, received };
  }

  /** @param sent the number of messages that each client sent. */
  findings(sent: readonly number[]): Findings {
    const faults = noFaults();
    const byRoom = this.#plan.sentByRoom(sent);
    const orders: ClientOrder[] = [];
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
    for (const [client, { audit, closeCode, received, sender, outOfSequence }] of this.#peers) {
      const room = this.#plan.roomOf(client);
      faults.swapped += outOfSequence;
      if (outOfSequence > 0) first ??= { at: Date.now(), what: `client ${client} received messages out of sequence` };
      const stayed = closeCode === undefined;
      if (stayed && sender) unreturned += sender.inFlight + sender.missed;
      if (audit) {
        if (finish(audit, stayed) && stayed) {
          orders.push({ room, node: this.#plan.nodeOf(client), hash: audit.orderHash, messages: audit.order });
        }
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
      crossings: timings(this.#crossings.times),
      faults,
      first,
      auditors,
      audited,
      orders: withoutCopies(orders),
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
      ? new Sender(client, this.#options.bytes, encode, this.#senderListener(client))
      : undefined;
    const audit = this.#plan.audits(client)
      ? new Audit(client, this.#plan.clientsOf(room), this.#auditSettings(client))
      : undefined;
    return new Peer(this.#destination(this.#plan.nodeOf(client), this.#since), this.#tally, name, sender, audit);
  }

  #senderListener(client: number): SenderListener {
    const roundTrip = (milliseconds: number) => this.#roundTrips.record(milliseconds);
    if (this.#options.nodes === 1) return { roundTrip };
    return { roundTrip, sent: (seq, due) => this.#crossings.sent(client, seq, due) };
  }

  #auditSettings(client: number): AuditSettings {
    if (this.#options.nodes === 1) return {};
    return { keepsOrder: true, onMessage: (message) => this.#crossings.received(message, client) };
  }

  /** Creates a churning client of the first room, which audits what it receives while connected. */
  #visitor(): Peer {
    const { clients, audit } = this.#options;
    const settings = { late: true };
    const auditor = audit > 0 ? new Audit(clients, this.#plan.clientsOf(0), settings) : undefined;
    return this.#reader(this.#churn.visits, this.#tally, auditor);
  }

  /** @param index spreads the readers over the nodes. */
  #reader(index: number, tally: Tally, audit: Audit | undefined): Peer {
    return new Peer(
      this.#destination(index % this.#options.nodes, undefined),
      tally,
      this.#plan.roomName(0),
      undefined,
      audit,
    );
  }

  #destination(node: number, since: Place | undefined): Destination {
    const { bytes, nodes } = this.#options;
    return { url: this.#urlOf(node), wire: this.#wire, bytes, since, checksNumbers: nodes > 1 };
  }

  #urlOf(node: number): URL {
    return this.#urls[node] as URL;
  }

  #senders(): Peer[] {
    return [...this.#peers.values()].filter(({ sender }) => sender !== undefined);
  }
}

/** Keeps the messages of only one of the equal orders, since the rest add nothing. */
function withoutCopies(orders: readonly ClientOrder[]): ClientOrder[] {
  const kept = new Set<string>();
  return orders.map((order) => {
    const key = `${order.room} ${order.hash}`;
    if (kept.has(key)) return { ...order, messages: undefined };
    kept.add(key);
    return order;
  });
}

function codesOf(peers: Iterable<Peer>): Record<string, number> {
  const codes: Record<string, number> = {};
  for (const { closeCode } of peers) if (closeCode !== undefined) codes[closeCode] = (codes[closeCode] ?? 0) + 1;
  return codes;
}
