import type { Engine, EngineListener } from '../../src/hub/engine.ts';
import { type Clock, type Scheduler, systemClock, systemScheduler } from '../../src/hub/time.ts';
import { createRings, LogLink, WorkerLink } from '../../src/threads/link.ts';
import type { LogMethods, WorkerMethods } from '../../src/threads/log-methods.ts';
import { LogService } from '../../src/threads/log-service.ts';
import { WorkerEngine, type WorkerMembers } from '../../src/threads/worker-engine.ts';
import { fakePorts, type Later } from './ports.ts';

/** A cluster of workers that tells nothing of the others' members. */
export const silentCluster: WorkerMembers = {
  tickets: { put() {}, find: () => undefined, spend: () => false },
  attempts: { take: () => true, giveBack() {} },
  revocations: { find: (users) => users.map(() => 0), revoke: () => true },
  readPlaces: { find: () => undefined, move() {} },
  open() {},
  secret: (created) => created,
  signal() {},
  announce() {},
  others: () => ({ count: 0, users: [] }),
  claim() {},
  disclaim() {},
  ask: async () => ({ answers: [], missing: 0 }),
  close() {},
  attached() {},
  released() {},
};

/**
 * Connects a worker to a log service, both in this thread.
 *
 * @param later delivers one message. @default in turns of their own
 */
export function connectWorker(service: LogService, worker: number, ringBytes?: number, later?: Later): WorkerEngine {
  const [near, far] = fakePorts(later && [later, later]);
  const rings = createRings(ringBytes);
  service.connect(worker, new LogLink<WorkerMethods, LogMethods>(far, rings, systemScheduler));
  const link = new WorkerLink<LogMethods, WorkerMethods>(near, rings, systemScheduler);
  return new WorkerEngine({ link, cluster: silentCluster, clock: systemClock, scheduler: systemScheduler });
}

export function logServiceOn(
  engine: Engine,
  time: Clock & Scheduler = { ...systemClock, ...systemScheduler },
): LogService {
  return new LogService(engine, { attached: () => [], released() {} }, time, time);
}

/** Returns the engine of the only worker on a log, which it opens and closes, too. */
export function workerOn(engine: Engine, ringBytes?: number): Engine {
  const service = logServiceOn(engine);
  const worker = connectWorker(service, 1, ringBytes);
  const { open, close } = worker;
  return Object.assign(worker, {
    async open(listener: EngineListener) {
      await service.open();
      open.call(worker, listener);
    },
    async close() {
      await close.call(worker);
      await service.close();
    },
  });
}
