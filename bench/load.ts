import { setTimeout as sleep } from 'node:timers/promises';
import type { Place } from './dialects/index.ts';
import type { Snapshot, State } from './generator/generator.ts';
import { type GeneratorLink, RemoteGenerator } from './generator/remote.ts';
import type { LoadOptions } from './load-options.ts';
import { Plan } from './plan.ts';
import { judged, type LoadResult, measured } from './result.ts';
import { readingsOf, type Usage, usageOf } from './usage.ts';

/** What is known while it runs. */
export interface Progress {
  readonly phase: 'filling' | 'connecting' | 'recovering' | 'warming up' | 'measuring' | 'finishing';
  readonly connected: number;
  readonly deliveries: number;
  /** Milliseconds. */
  readonly p99: number;
}

/** Beside the load: what is known of the server, and can be done with it. */
export interface Surroundings {
  readonly pid?: number | undefined;
  /** Ends the server without a word and starts it again. @returns its new process. */
  readonly restart?: () => Promise<number | undefined>;
}

const POLL_MS = 20;
const WATCH_MS = 200;
const STALL = 'nodejs_eventloop_lag_max_seconds';

/** Loads a server with WebSocket clients in processes of their own, and checks what they hear. */
export class Load {
  readonly #options: LoadOptions;
  readonly #plan: Plan;
  readonly #restart: Surroundings['restart'];
  readonly #generators: readonly GeneratorLink[];
  readonly #watch = new Watch(() => this.#usage());
  #pid: number | undefined;
  #phase: Progress['phase'] = 'connecting';

  /** @param generator makes one of the load's generators; each in a process of its own unless given. */
  constructor(
    options: LoadOptions,
    { pid, restart }: Surroundings = {},
    generator = (share: number): GeneratorLink => new RemoteGenerator(options, share),
  ) {
    this.#options = options;
    this.#plan = new Plan(options);
    this.#pid = pid;
    this.#restart = restart;
    this.#generators = Array.from({ length: options.generators }, (_, share) => generator(share));
  }

  /** How it goes; undefined once it has ended. */
  async progress(): Promise<Progress | undefined> {
    const phase = this.#phase;
    try {
      const states = await this.#all((one) => one.call('state'));
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

  /** Runs it from the first connection to the last. Rejects with one clear line when it cannot connect. */
  async run(): Promise<LoadResult> {
    const { warmUp, seconds, backlog } = this.#options;
    try {
      const since = backlog > 0 ? await this.#fill() : undefined;
      const before = await this.#usage();
      const began = performance.now();
      this.#phase = 'connecting';
      this.#watch.start();
      await this.#all((one) => one.call('connect', since));
      const connectingSeconds = (performance.now() - began) / 1000;
      const connected = await this.#usage();
      let recoverySeconds: number | undefined;
      if (since) {
        this.#phase = 'recovering';
        await this.#settle([backlog]);
        recoverySeconds = (performance.now() - began) / 1000;
      }
      this.#phase = 'warming up';
      await this.#all((one) => one.call('start'));
      await sleep(warmUp * 1000);
      this.#phase = 'measuring';
      await this.#all((one) => one.call('reset'));
      const start = await this.#snapshot();
      await sleep(seconds * 1000);
      const end = await this.#snapshot();
      this.#phase = 'finishing';
      const most = this.#watch.stop();
      const sent = await this.#stop();
      await this.#settle(sent);
      if (this.#options.slow > 0) await this.#untilSlowAreGone();
      const findings = await this.#all((one) => one.call('findings', sent));
      const stall = since ? (await readingsOf(this.#options.url))?.get(STALL) : undefined;
      const server =
        start.usage && end.usage
          ? {
              cpuSeconds: end.usage.cpuSeconds - start.usage.cpuSeconds,
              memory: { before: before?.memoryBytes ?? 0, connected: connected?.memoryBytes ?? 0, most },
              stall,
            }
          : undefined;
      await this.#all((one) => one.call('close'));
      return { connectingSeconds, recoverySeconds, server, ...measured(start.of, end.of), ...judged(findings) };
    } finally {
      this.#watch.stop();
      for (const generator of this.#generators) generator.end();
    }
  }

  /** What was said before is what a server that was killed meanwhile must still know. */
  async #fill(): Promise<Place> {
    this.#phase = 'filling';
    const [first] = this.#generators;
    const place = await first?.call('fill');
    if (this.#restart) this.#pid = await this.#restart();
    await readingsOf(this.#options.url); // the longest stall starts anew
    return place as Place;
  }

  /** @returns how many messages each client sent. */
  async #stop(): Promise<number[]> {
    const sent = new Array<number>(this.#options.clients).fill(0);
    sent[0] = this.#options.backlog;
    for (const share of await this.#all((one) => one.call('stop'))) {
      for (const [client, count] of share) sent[client] = (sent[client] as number) + count;
    }
    return sent;
  }

  /** Waits until what was sent has come to everyone, or nothing more comes. */
  async #settle(sent: readonly number[]): Promise<void> {
    const byRoom = this.#plan.sentByRoom(sent);
    for (let heard = -1, until = 0; ; await sleep(POLL_MS)) {
      const arrived = await this.#all((one) => one.call('arrived', byRoom));
      if (arrived.every(Boolean)) return;
      const states = await this.#all((one) => one.call('state'));
      const deliveries = states.reduce((sum, state) => sum + state.deliveries, 0);
      if (deliveries !== heard) until = performance.now() + this.#options.patience * 1000;
      heard = deliveries;
      if (performance.now() > until) return;
    }
  }

  async #untilSlowAreGone(): Promise<void> {
    for (let i = 0; i < 100; i++, await sleep(POLL_MS)) {
      if ((await this.#all((one) => one.call('slowAreGone'))).every(Boolean)) return;
    }
  }

  async #snapshot(): Promise<{ readonly usage: Usage | undefined; readonly of: readonly Snapshot[] }> {
    const [of, usage] = await Promise.all([this.#all((one) => one.call('snapshot')), this.#usage()]);
    return { of, usage };
  }

  #usage(): Promise<Usage | undefined> {
    const { url } = this.#options;
    return usageOf(this.#pid === undefined ? { url } : { url, pid: this.#pid });
  }

  #all<T>(ask: (generator: GeneratorLink) => Promise<T>): Promise<T[]> {
    return Promise.all(this.#generators.map(ask));
  }
}

/** Watches how much memory a server takes. */
class Watch {
  readonly #usage: () => Promise<Usage | undefined>;
  #timer: ReturnType<typeof setInterval> | undefined;
  #most = 0;

  constructor(usage: () => Promise<Usage | undefined>) {
    this.#usage = usage;
  }

  start(): void {
    let asking = false;
    this.#timer = setInterval(async () => {
      if (asking) return;
      asking = true;
      this.#most = Math.max(this.#most, (await this.#usage())?.memoryBytes ?? 0);
      asking = false;
    }, WATCH_MS);
  }

  /** @returns the most that was seen, in bytes. */
  stop(): number {
    clearInterval(this.#timer);
    return this.#most;
  }
}
