import type { Engine } from '../../src/hub/engine.ts';
import type { Scheduler } from '../../src/hub/time.ts';
import { createRings, LogLink, WorkerLink } from '../../src/threads/link.ts';
import type { LogMethods, WorkerMethods } from '../../src/threads/log-methods.ts';
import { LogService } from '../../src/threads/log-service.ts';
import type { Port } from '../../src/threads/port.ts';
import { WorkerEngine } from '../../src/threads/worker-engine.ts';
import { silentCluster } from '../threads/worker-pair.ts';
import type { ProcessTime, PromiseTime, Random } from './virtual.ts';

/** A port whose messages take a virtual time. */
class VirtualPort implements Port {
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #queue: unknown[] = [];
  #listener: ((message: unknown) => void) | undefined;
  #isDelivering = false;
  #isStalled = false;
  peer!: VirtualPort;

  constructor(scheduler: Scheduler, random: Random) {
    this.#scheduler = scheduler;
    this.#random = random;
  }

  post(message: unknown): void {
    this.peer.#take(structuredClone(message));
  }

  receive(listener: (message: unknown) => void): void {
    this.#listener = listener;
  }

  /** The thread does nothing for a while. */
  stall(ms: number): void {
    if (this.#isStalled) return;
    this.#isStalled = true;
    this.#scheduler.after(ms, () => {
      this.#isStalled = false;
      this.#deliverLater();
    });
  }

  #take(message: unknown): void {
    this.#queue.push(message);
    this.#deliverLater();
  }

  #deliverLater(): void {
    if (this.#isDelivering || this.#isStalled || this.#queue.length === 0) return;
    this.#isDelivering = true;
    const deliver = () => {
      this.#isDelivering = false;
      if (this.#isStalled) return;
      this.#listener?.(this.#queue.shift());
      this.#deliverLater();
    };
    if (this.#random.chance(0.7)) this.#scheduler.soon(deliver);
    else this.#scheduler.after(this.#random.int(1, 20), deliver);
  }
}

/** A planted fault of what connects the threads, which the simulation must find. */
export type ThreadFault = 'loses frames' | 'repeats frames';

/** A link whose ring is faulty now and then. */
class FaultyLink extends LogLink<WorkerMethods, LogMethods> {
  readonly #random: Random;
  readonly #fault: ThreadFault;

  constructor(fault: ThreadFault, random: Random, ...rest: ConstructorParameters<typeof LogLink>) {
    super(...rest);
    this.#random = random;
    this.#fault = fault;
  }

  override write(frame: Buffer, length: number): boolean {
    const isFaulty = this.#random.chance(0.03);
    if (isFaulty && this.#fault === 'loses frames') return true;
    if (isFaulty) super.write(frame, length);
    return super.write(frame, length);
  }
}

/** A process whose log thread owns an engine. */
export class VirtualProcess {
  readonly #scheduler: Scheduler;
  readonly #time: ProcessTime;
  readonly #random: Random;
  readonly #service: LogService;
  readonly #ringBytes: number;
  readonly #workers: { readonly dropped: number }[] = [];
  readonly #fault: ThreadFault | undefined;

  /** @param ringScale a power of two. */
  constructor(
    engine: Engine,
    time: ProcessTime,
    promises: PromiseTime,
    random: Random,
    fault: ThreadFault | undefined,
    ringScale: number,
  ) {
    this.#fault = fault;
    const settling = (work: () => void) => () => {
      work();
      promises.promiseSettled();
    };
    this.#time = time;
    this.#scheduler = {
      soon: (work) => time.soon(settling(work)),
      after: (ms, work) => time.after(ms, settling(work)),
    };
    this.#random = random;
    this.#ringBytes = random.pick([2048, 4096, 16_384]) * ringScale;
    this.#service = new LogService(engine, { attached: () => [], released() {} }, this.#scheduler, time);
  }

  open(): Promise<void> {
    return this.#service.open();
  }

  /** How many commits did not fit into the workers' rings. */
  get dropped(): number {
    return this.#workers.reduce((sum, { dropped }) => sum + dropped, 0);
  }

  /** Starts a worker. @returns its engine, and a function that stalls the worker. */
  connect(): { readonly engine: WorkerEngine; readonly stall: (ms: number) => void } {
    const near = new VirtualPort(this.#scheduler, this.#random);
    const far = new VirtualPort(this.#scheduler, this.#random);
    near.peer = far;
    far.peer = near;
    const rings = createRings(this.#ringBytes);
    const ends = [far, rings, this.#scheduler] as const;
    const logLink = this.#fault
      ? new FaultyLink(this.#fault, this.#random, ...ends)
      : new LogLink<WorkerMethods, LogMethods>(...ends);
    this.#workers.push(this.#service.connect(this.#workers.length + 1, logLink));
    const link = new WorkerLink<LogMethods, WorkerMethods>(near, rings, this.#scheduler, this.#time);
    const engine = new WorkerEngine({ link, cluster: silentCluster, clock: this.#time, scheduler: this.#scheduler });
    return { engine, stall: (ms) => near.stall(ms) };
  }
}
