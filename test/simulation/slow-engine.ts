import type { Draft, Engine, EngineListener } from '../../src/hub/engine.ts';
import type { Random, VirtualTime } from './virtual.ts';

interface Job {
  readonly room: string;
  readonly drafts: readonly Draft[];
}

/**
 * Returns an engine as slow as one on a disk: it decides drafts later, several batches at once, in
 * order, and fails some of them.
 */
export function slowEngine(inner: Engine, time: VirtualTime, random: Random): Engine {
  const jobs: Job[] = [];
  let listener: EngineListener | undefined;
  let scheduled = false;
  const work = () => {
    scheduled = false;
    for (let left = random.int(1, jobs.length); left > 0; left--) {
      const { room, drafts } = jobs.shift() as Job;
      if (random.chance(0.1)) listener?.decided({ room, outcomes: drafts.map(() => ({ kind: 'failed' })) });
      else inner.append(room, drafts);
    }
    if (jobs.length > 0) schedule();
  };
  const schedule = () => {
    if (scheduled) return;
    scheduled = true;
    if (random.chance(0.3)) time.soon(work);
    else time.after(random.int(1, 50), work);
  };
  return {
    ...inner,
    open(engineListener) {
      listener = engineListener;
      return inner.open(engineListener);
    },
    append(room, drafts) {
      jobs.push({ room, drafts });
      schedule();
    },
  };
}
