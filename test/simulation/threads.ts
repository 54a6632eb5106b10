import type { Engine } from '../../src/hub/engine.ts';
import type { Scheduler } from '../../src/hub/time.ts';
import { createRings, Link } from '../../src/threads/link.ts';
import { type LogMethods, LogService, type WorkerMethods } from '../../src/threads/log-service.ts';
import type { Port } from '../../src/threads/port.ts';
import { WorkerEngine, type WorkerMembers } from '../../src/threads/worker-engine.ts';
import type { ProcessTime, PromiseTime, Random } from './virtual.ts';

/** A cluster of workers that tells nothing of the others' members. */
const silent: WorkerMembers = {
  tickets: { put() {}, find: () => undefined, spend: () => false },
  attempts: { take: () => true, giveBack() {} },
  open() {},
  secret: (created) => created,
  signal() {},
  announce() {},
  others: () => ({ count: 0, users: [] }),
  claim() {},
  disclaim() {},
  close() {},
  attached() {},
  released() {},
};

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

/** A process whose log thread owns an engine. */
export class VirtualProcess {
  readonly #scheduler: Scheduler;
  readonly #time: ProcessTime;
  readonly #random: Random;
  readonly #service: LogService;
  readonly #ringBytes: number;
  readonly #workers: { readonly dropped: number }[] = [];

  constructor(engine: Engine, time: ProcessTime, promises: PromiseTime, random: Random) {
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
    this.#ringBytes = random.pick([1024, 4096, 65_536]);
    this.#service = new LogService(engine, { attached: () => [], released() {} });
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
    const { up, down } = createRings(this.#ringBytes);
    const logLink = new Link<WorkerMethods, LogMethods>(far, down, up, this.#scheduler);
    this.#workers.push(this.#service.connect(this.#workers.length + 1, logLink));
    const link = new Link<LogMethods, WorkerMethods>(near, up, down, this.#scheduler);
    const engine = new WorkerEngine({ link, cluster: silent, clock: this.#time, scheduler: this.#scheduler });
    return { engine, stall: (ms) => near.stall(ms) };
  }
}
