import { Snapshots } from '../admin/snapshots.ts';
import { systemClock, systemScheduler } from '../hub/time.ts';
import type { Logger } from '../observe/log.ts';
import { type ProcessReadings, ProcessSurveyor, type SurveyedThread } from '../observe/process-survey.ts';

/** Creates the snapshots of a process from the surveys of its threads. */
export function createSnapshots(threads: readonly SurveyedThread[], process: ProcessReadings, log: Logger): Snapshots {
  const surveyor = new ProcessSurveyor(threads, process, systemClock);
  return new Snapshots({
    compute: () => surveyor.snapshot(),
    clock: systemClock,
    scheduler: systemScheduler,
    failed: (err) => log.error({ err }, 'a snapshot for operators could not be computed'),
  });
}
