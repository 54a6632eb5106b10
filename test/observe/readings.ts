import { Distribution } from '../../src/hub/meter.ts';
import type { Readings } from '../../src/observe/metrics.ts';

/** Readings of a Hub at rest. */
export function readingsAtRest(changes: Partial<Readings> = {}): Readings {
  const empty = () => new Distribution([1]);
  return {
    connections: () => 3,
    rooms: () => 2,
    ready: () => true,
    messages: () => 11,
    batches: () => 2,
    mailbox: () => 0,
    capacity: () => 100,
    census: () => ({ inStep: 0, parked: 0, catchingUp: 0, lag: empty() }),
    meter: { turns: empty(), turnBytes: empty(), sends: empty(), load: 0 },
    ...changes,
  };
}
