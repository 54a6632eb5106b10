import { setTimeout as sleep } from 'node:timers/promises';
import type { Snapshot, State } from './generator/generator.ts';
import { type GeneratorLink, RemoteGenerator } from './generator/remote.ts';
import type { LoadOptions } from './load-options.ts';
import { Plan } from './plan.ts';
import { type ClusterResult, judged, type LoadResult, measured } from './result.ts';
import { cpuBetween, cpuSecondsOfMachine, readingsOf, sumOf, type Usage, usageOf, usageOfProcess } from './usage.ts';
import type { Place } from './wires/index.ts';

/** The state of a running load. */
export interface Progress {
  readonly phase: 'filling' | 'connecting' | 'recovering' | 'warming up' | 'measuring' | 'finishing';
  readonly connected: number;
  readonly deliveries: number;
  /** Of the round trips, in milliseconds. */
  readonly p99: number;
}

/** Access to the processes of the server. */
export interface ServerControl {
  /** The process of each node, if known. */
  readonly pids?: readonly (number | undefined)[];
  /** Kills the server, which is a single node, and starts it again. @returns the new process id. */
  readonly restart?: () => Promise<number | undefined>;
  /** The Redis that the nodes share. */
  readonly redis?: RedisProcess;
  /** Whether the clients of all nodes must receive a room's messages in one order. @default true */
  readonly promisesOrder?: boolean;
}

/** A Redis to measure. */
export interface RedisProcess {
  readonly pid: number | undefined;
  readonly version: string;
}

/** The counters of the generators and of all processes at one time. */
interface Reading {
  readonly of: readonly Snapshot[];
  readonly nodes: readonly (Usage | undefined)[];
  readonly redis: Usage | undefined;
  /** CPU seconds of the machine and of this process. */
  readonly machine: number | undefined;
  readonly self: number;
}

const POLL_MS = 20;
const MEMORY_POLL_MS = 200;
/** How long a slow client that reads again may receive nothing before it counts as open. */
const SLOW_PATIENCE_MS = 500;
const STALL = 'nodejs_eventloop_lag_max_seconds';

/**
 * Loads a server with WebSocket clients in separate processes, and checks every message that they
 * receive.
 */
export class Load {
  readonly #options: LoadOptions;
  readonly #plan: Plan;
  readonly #restart: ServerControl['restart'];
  readonly #redis: RedisProcess | undefined;
  readonly #promisesOrder: boolean;
  readonly #generators: readonly GeneratorLink[];
  readonly #memory = new PeakMemory(() => this.#usage());
  #pids: readonly (number | undefined)[];
  #phase: Progress['phase'] = 'connecting';

  /**
   * @param createGenerator creates the generator of one share.
   * @default a generator in its own process
   */
  constructor(
    options: LoadOptions,
    { pids = [], restart, redis, promisesOrder = true }: ServerControl = {},
    createGenerator = (share: number): GeneratorLink => new RemoteGenerator(options, share),
  ) {
    this.#options = options;
    this.#plan = new Plan(options);
    this.#pids = pids;
    this.#restart = restart;
    this.#redis = redis;
    this.#promisesOrder = promisesOrder;
    this.#generators = Array.from({ length: options.generators }, (_, share) => createGenerator(share));
  }

  /** @returns the current state; undefined once the load has ended. */
  async progress(): Promise<Progress | undefined> {
    const phase = this.#phase;
    try {
      const states = await this.#all((generator) => generator.call('state'));
      const sum = (of: (state: State) => number) => states.reduce((sum, state) => sum + of(state), 0);
      return {
        phase,
        connected: sum(({ connected }) => connected),
        deliveries: sum(({ deliveries }) => deliveries),
        p99: Math.max(...states.map(({ p99 }) => p99)),
      };
    } catch {
      return undefined;
    }
  }

  /** Runs the load from the first connection to the last. Rejects if a client cannot connect. */
  async run(): Promise<LoadResult> {
    const { warmUp, seconds, backlog } = this.#options;
    try {
      const since = backlog > 0 ? await this.#fill() : undefined;
      const before = await this.#usage();
      const began = performance.now();
      this.#phase = 'connecting';
      this.#memory.start();
      await this.#all((generator) => generator.call('connect', since));
      const connectingSeconds = (performance.now() - began) / 1000;
      const connected = await this.#usage();
      let recoverySeconds: number | undefined;
      if (since) {
        this.#phase = 'recovering';
        await this.#waitForDeliveries([backlog]);
        recoverySeconds = (performance.now() - began) / 1000;
      }
      this.#phase = 'warming up';
      await this.#all((generator) => generator.call('start'));
      await sleep(warmUp * 1000);
      this.#phase = 'measuring';
      await this.#all((generator) => generator.call('reset'));
      const start = await this.#snapshot();
      await sleep(seconds * 1000);
      const end = await this.#snapshot();
      this.#phase = 'finishing';
      const most = this.#memory.stop();
      const sent = await this.#stopSending();
      await this.#waitForDeliveries(sent);
      if (this.#options.slow > 0) await this.#waitForSlowCloses();
      const findings = await this.#all((generator) => generator.call('findings', sent));
      const stall = since ? (await readingsOf(this.#firstUrl))?.get(STALL) : undefined;
      const memory = { before: this.#pids[0] && before?.memoryBytes, connected: connected?.memoryBytes, most };
      const cpu = cpuBetween(sumOf(start.nodes), sumOf(end.nodes));
      const server = cpu && { ...cpu, memory, stall };
      await this.#all((generator) => generator.call('close'));
      const counts = measured(start.of, end.of);
      const { cluster, ...verdict } = judged(findings, this.#promisesOrder);
      return {
        connectingSeconds,
        recoverySeconds,
        server,
        ...counts,
        othersCpuSeconds: this.#othersCpu(start, end, cpu?.cpuSeconds, counts.generator.cpuSeconds),
        ...verdict,
        cluster: this.#options.nodes > 1 ? { ...cluster, ...this.#clusterUsage(start, end) } : undefined,
      };
    } finally {
      this.#memory.stop();
      for (const generator of this.#generators) generator.end();
    }
  }

  /**
   * Fills the room, then restarts the server if the scenario requires it: the messages must
   * survive.
   */
  async #fill(): Promise<Place> {
    this.#phase = 'filling';
    const [first] = this.#generators;
    const place = await first?.call('fill');
    if (this.#restart) this.#pids = [await this.#restart()];
    await readingsOf(this.#firstUrl); // reading the metrics resets the longest stall
    return place as Place;
  }

  /** @returns the number of messages that each client sent. */
  async #stopSending(): Promise<number[]> {
    const sent = new Array<number>(this.#options.clients).fill(0);
    sent[0] = this.#options.backlog;
    for (const share of await this.#all((generator) => generator.call('stop'))) {
      for (const [client, count] of share) sent[client] = (sent[client] as number) + count;
    }
    return sent;
  }

  /**
   * Waits until every client has received every message, or nothing arrives for `patience` seconds.
   */
  async #waitForDeliveries(sent: readonly number[]): Promise<void> {
    const byRoom = this.#plan.sentByRoom(sent);
    for (let previous = -1, deadline = 0; ; await sleep(POLL_MS)) {
      const complete = await this.#all((generator) => generator.call('hasReceivedAll', byRoom));
      if (complete.every(Boolean)) return;
      const states = await this.#all((generator) => generator.call('state'));
      const deliveries = states.reduce((sum, state) => sum + state.deliveries, 0);
      if (deliveries !== previous) deadline = performance.now() + this.#options.patience * 1000;
      previous = deliveries;
      if (performance.now() > deadline) return;
    }
  }

  /** Waits until the slow clients have been closed, or receive nothing more. */
  async #waitForSlowCloses(): Promise<void> {
    for (let previous = -1, deadline = 0; ; await sleep(POLL_MS)) {
      const states = await this.#all((generator) => generator.call('slowState'));
      if (states.every(({ open }) => open === 0)) return;
      const received = states.reduce((sum, state) => sum + state.received, 0);
      if (received !== previous) deadline = performance.now() + SLOW_PATIENCE_MS;
      previous = received;
      if (performance.now() > deadline) return;
    }
  }

  async #snapshot(): Promise<Reading> {
    const generators = this.#all((generator) => generator.call('snapshot'));
    const [of, nodes] = await Promise.all([generators, this.#usages()]);
    const pid = this.#redis?.pid;
    const redis = pid === undefined ? undefined : usageOfProcess(pid);
    const { user, system } = process.cpuUsage();
    return { of, nodes, redis, machine: cpuSecondsOfMachine(), self: (user + system) / 1e6 };
  }

  /** @returns the CPU seconds of processes that are not part of the benchmark. */
  #othersCpu(start: Reading, end: Reading, ofServer: number | undefined, ofGenerators: number): number | undefined {
    if (start.machine === undefined || end.machine === undefined || ofServer === undefined) return undefined;
    const ofRedis = cpuBetween(start.redis, end.redis)?.cpuSeconds ?? 0;
    return Math.max(0, end.machine - start.machine - (end.self - start.self) - ofServer - ofRedis - ofGenerators);
  }

  #clusterUsage(start: Reading, end: Reading): Pick<ClusterResult, 'nodeCpuSeconds' | 'redis'> {
    const each = end.nodes.flatMap((usage, node) => cpuBetween(start.nodes[node], usage)?.cpuSeconds ?? []);
    const cpu = cpuBetween(start.redis, end.redis);
    const redis = this.#redis &&
      cpu &&
      end.redis && { ...cpu, memoryBytes: end.redis.memoryBytes, version: this.#redis.version };
    return { nodeCpuSeconds: each.length === end.nodes.length ? each : undefined, redis };
  }

  /** @returns the usage of all nodes together; undefined if one is not available. */
  async #usage(): Promise<Usage | undefined> {
    return sumOf(await this.#usages());
  }

  #usages(): Promise<(Usage | undefined)[]> {
    return Promise.all(this.#options.urls.map((url, node) => usageOf({ url, pid: this.#pids[node] })));
  }

  get #firstUrl(): string {
    return this.#options.urls[0] ?? '';
  }

  #all<T>(call: (generator: GeneratorLink) => Promise<T>): Promise<T[]> {
    return Promise.all(this.#generators.map(call));
  }
}

/** Polls the memory of a server and keeps the maximum. */
class PeakMemory {
  readonly #usage: () => Promise<Usage | undefined>;
  #timer: ReturnType<typeof setInterval> | undefined;
  #peak: number | undefined;

  constructor(usage: () => Promise<Usage | undefined>) {
    this.#usage = usage;
  }

  start(): void {
    let polling = false;
    this.#timer = setInterval(async () => {
      if (polling) return;
      polling = true;
      const bytes = (await this.#usage())?.memoryBytes;
      if (bytes !== undefined) this.#peak = Math.max(this.#peak ?? 0, bytes);
      polling = false;
    }, MEMORY_POLL_MS);
  }

  /** @returns the maximum, in bytes; undefined if it could not be read. */
  stop(): number | undefined {
    clearInterval(this.#timer);
    return this.#peak;
  }
}
