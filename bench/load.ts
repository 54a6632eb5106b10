import { createHistogram, type EventLoopUtilization, performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Audit, type Faults, judge } from './audit.ts';
import { Pace } from './pace.ts';
import { Peer, type Tally } from './peer.ts';
import { Sender } from './sender.ts';
import { type Usage, usageOf } from './usage.ts';

/** What to load a server with. */
export interface LoadOptions {
  readonly url: URL;
  readonly clients: number;
  /** How many of the clients send. */
  readonly senders: number;
  /** Messages that each sender keeps on their way; ignored with a rate. */
  readonly window: number;
  /** Messages a second of all senders together, sent whatever comes back; undefined for the closed loop. */
  readonly rate: number | undefined;
  /** Length of a message. */
  readonly bytes: number;
  readonly seconds: number;
  readonly warmUp: number;
  /** How many of the clients check every message. */
  readonly audit: number;
  /** Seconds without any delivery after which what has not come counts as lost. */
  readonly patience: number;
  /** Further clients that never read. */
  readonly slow: number;
}

/** What came out. Rates are of the measured seconds; closes and faults of the whole run. */
export interface LoadResult {
  readonly seconds: number;
  /** How long it took until all clients were connected. */
  readonly connectingSeconds: number;
  readonly deliveries: number;
  readonly messages: number;
  /** Undefined where the server does not tell. */
  readonly server: { readonly cpuSeconds: number; readonly memory: Memory } | undefined;
  /** The generator's CPU seconds, and what share of the time its loop was busy. */
  readonly generator: { readonly cpuSeconds: number; readonly busy: number };
  /** Milliseconds. */
  readonly roundTrip: Record<'p50' | 'p99' | 'p999' | 'max', number>;
  /** How many clients the server closed with each code: those that read, and those that never did. */
  readonly closes: Readonly<Record<string, number>>;
  readonly slowCloses: Readonly<Record<string, number>>;
  readonly audit: Faults & { readonly clients: number; readonly messages: number };
  /** Messages that never came back to the client that sent them, though it stayed. */
  readonly unreturned: number;
}

/** Bytes of the server's memory: without clients, with all connected, and the most that was seen while measuring. */
interface Memory {
  readonly before: number;
  readonly connected: number;
  readonly most: number;
}

/** What is known while it runs. */
export interface Progress {
  readonly phase: 'connecting' | 'warming up' | 'measuring' | 'finishing';
  readonly connected: number;
  readonly deliveries: number;
  /** Milliseconds. */
  readonly p99: number;
}

interface Snapshot {
  readonly at: number;
  readonly deliveries: number;
  readonly messages: number;
  readonly usage: Usage | undefined;
  readonly cpu: NodeJS.CpuUsage;
  readonly busy: EventLoopUtilization;
}

const CONNECTING_AT_ONCE = 200;
const MICRO = 1000;

/** Loads a server with WebSocket clients, and checks what they hear. */
export class Load {
  readonly #options: LoadOptions;
  readonly #peers: Peer[] = [];
  readonly #slow: Peer[] = [];
  readonly #tally: Tally = { deliveries: 0, window: 0 };
  readonly #roundTrips = createHistogram({ highest: 600_000_000, figures: 3 });
  #phase: Progress['phase'] = 'connecting';
  #pace: Pace | undefined;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  get progress(): Progress {
    const connected = this.#peers.length + this.#slow.length;
    return { phase: this.#phase, connected, deliveries: this.#tally.deliveries, p99: this.#percentile(99) };
  }

  /** Runs it from the first connection to the last. Rejects with one clear line when it cannot connect. */
  async run(): Promise<LoadResult> {
    const { url, warmUp, seconds } = this.#options;
    try {
      const before = await usageOf(url);
      const connecting = performance.now();
      await this.#connect();
      const connectingSeconds = (performance.now() - connecting) / 1000;
      const connected = await usageOf(url);
      this.#phase = 'warming up';
      this.#start();
      await sleep(warmUp * 1000);
      this.#phase = 'measuring';
      this.#roundTrips.reset();
      const start = await this.#snapshot();
      const most = await this.#watchMemory(seconds);
      const end = await this.#snapshot();
      this.#phase = 'finishing';
      await this.#settle();
      const memory = { before: before?.memoryBytes ?? 0, connected: connected?.memoryBytes ?? 0, most };
      return { ...this.#result(start, end, memory), connectingSeconds };
    } finally {
      this.#stop();
      await Promise.all([...this.#peers, ...this.#slow].map((peer) => peer.close()));
    }
  }

  async #connect(): Promise<void> {
    const { url, clients, senders, bytes, audit, slow } = this.#options;
    for (let index = 0; index < clients; index++) {
      const sender = index < senders ? new Sender(index, bytes, (ms) => this.#record(ms)) : undefined;
      // Spread over all of them: some that send, and some that only listen.
      const audited = Math.floor(((index + 1) * audit) / clients) > Math.floor((index * audit) / clients);
      this.#peers.push(new Peer(this.#tally, bytes, sender, audited ? new Audit(senders, bytes) : undefined));
    }
    for (let index = 0; index < slow; index++) {
      this.#slow.push(new Peer({ deliveries: 0, window: 0 }, bytes, undefined, undefined));
    }
    const waiting = [...this.#peers, ...this.#slow];
    while (waiting.length > 0) await allOf(waiting.splice(0, CONNECTING_AT_ONCE).map((peer) => peer.open(url)));
    for (const peer of this.#slow) peer.pause();
  }

  #start(): void {
    const { rate, window } = this.#options;
    const senders = this.#senders();
    if (rate === undefined) {
      this.#tally.window = window;
      for (const peer of senders) peer.refill();
      return;
    }
    let next = 0;
    this.#pace = new Pace(rate, (due) => senders[next++ % senders.length]?.send(1, due));
  }

  #stop(): void {
    this.#tally.window = 0;
    this.#pace?.stop();
  }

  /** Waits until what was sent has come to everyone, or nothing more comes. */
  async #settle(): Promise<void> {
    this.#stop();
    for (const peer of this.#slow) peer.resume();
    const audits = this.#peers.flatMap(({ audit, code }) => (audit && code === undefined ? [audit] : []));
    const arrived = () => {
      const sent = this.#sent();
      return (
        this.#senders().every(({ sender, code }) => code !== undefined || sender?.inFlight === 0) &&
        audits.every(({ heard }) => heard >= sent)
      );
    };
    for (let heard = -1, until = 0; !arrived(); await sleep(20)) {
      if (this.#tally.deliveries !== heard) until = performance.now() + this.#options.patience * 1000;
      heard = this.#tally.deliveries;
      if (performance.now() > until) return;
    }
    // The slow ones still have to read up to their close frames.
    for (let i = 0; i < 100 && this.#slow.some(({ code }) => code === undefined); i++) await sleep(20);
  }

  async #snapshot(): Promise<Snapshot> {
    const usage = await usageOf(this.#options.url);
    const { deliveries } = this.#tally;
    const [cpu, busy] = [process.cpuUsage(), performance.eventLoopUtilization()];
    return { at: performance.now(), deliveries, messages: this.#sent(), usage, cpu, busy };
  }

  /** @returns the most memory that the server had in these seconds, in bytes. */
  async #watchMemory(seconds: number): Promise<number> {
    let most = 0;
    for (const end = performance.now() + seconds * 1000; performance.now() < end; ) {
      await sleep(Math.min(1000, Math.max(0, end - performance.now())));
      most = Math.max(most, (await usageOf(this.#options.url))?.memoryBytes ?? 0);
    }
    return most;
  }

  #result(start: Snapshot, end: Snapshot, memory: Memory): Omit<LoadResult, 'connectingSeconds'> {
    const stayed = this.#peers.filter(({ code }) => code === undefined);
    const audits = stayed.flatMap(({ audit }) => audit ?? []);
    const cut = this.#peers.flatMap(({ code, audit }) => (code !== undefined && audit) || []);
    const sent = this.#senders().map(({ sender }) => sender?.sent ?? 0);
    const { user, system } = process.cpuUsage(start.cpu);
    const usage = end.usage && start.usage && end.usage.cpuSeconds - start.usage.cpuSeconds;
    return {
      seconds: (end.at - start.at) / 1000,
      deliveries: end.deliveries - start.deliveries,
      messages: end.messages - start.messages,
      server: usage === undefined ? undefined : { cpuSeconds: usage, memory },
      generator: {
        cpuSeconds: (user + system) / 1e6,
        busy: performance.eventLoopUtilization(end.busy, start.busy).utilization,
      },
      roundTrip: {
        p50: this.#percentile(50),
        p99: this.#percentile(99),
        p999: this.#percentile(99.9),
        max: this.#roundTrips.count > 0 ? this.#roundTrips.max / MICRO : 0,
      },
      closes: codesOf(this.#peers),
      slowCloses: codesOf(this.#slow),
      audit: {
        clients: audits.length + cut.length,
        messages: [...audits, ...cut].reduce((sum, { heard }) => sum + heard, 0),
        ...judge(audits, cut, sent),
      },
      unreturned: stayed.reduce((sum, { sender }) => sum + (sender ? sender.inFlight + sender.missed : 0), 0),
    };
  }

  #record(ms: number): void {
    this.#roundTrips.record(Math.max(1, Math.round(ms * MICRO)));
  }

  #percentile(percent: number): number {
    return this.#roundTrips.count > 0 ? this.#roundTrips.percentile(percent) / MICRO : 0;
  }

  #senders(): Peer[] {
    return this.#peers.slice(0, this.#options.senders);
  }

  #sent(): number {
    return this.#senders().reduce((sum, { sender }) => sum + (sender?.sent ?? 0), 0);
  }
}

async function allOf(opening: Promise<void>[]): Promise<void> {
  for (const one of await Promise.allSettled(opening)) if (one.status === 'rejected') throw one.reason;
}

function codesOf(peers: readonly Peer[]): Record<string, number> {
  const codes: Record<string, number> = {};
  for (const { code } of peers) if (code !== undefined) codes[code] = (codes[code] ?? 0) + 1;
  return codes;
}
