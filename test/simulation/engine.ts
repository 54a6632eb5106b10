import type { Draft, Engine, EngineListener } from '../../src/hub/engine.ts';
import type { Random, VirtualTime } from './virtual.ts';

interface Job {
  readonly room: string;
  readonly drafts: readonly Draft[];
}

/**
 * An engine that takes its time, as one on a disk does: it decides on what it was given later, some of it at once, in order, and
 * now and then it fails.
 */
export function slowly(inner: Engine, time: VirtualTime, random: Random): Engine {
  const jobs: Job[] = [];
  let listener: EngineListener | undefined;
  let waits = false;
  const work = () => {
    waits = false;
    for (let left = random.int(1, jobs.length); left > 0; left--) {
      const { room, drafts } = jobs.shift() as Job;
      if (random.chance(0.1)) listener?.failed(room, drafts.length);
      else inner.append(room, drafts);
    }
    if (jobs.length > 0) later();
  };
  const later = () => {
    if (waits) return;
    waits = true;
    if (random.chance(0.3)) time.soon(work);
    else time.after(random.int(1, 50), work);
  };
  return {
    ...inner,
    open(opened) {
      listener = opened;
      return inner.open(opened);
    },
    append(room, drafts) {
      jobs.push({ room, drafts });
      later();
    },
  };
}
