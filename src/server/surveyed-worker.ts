import type { RoomMembers } from '../hub/survey.ts';
import type { Scheduler } from '../hub/time.ts';
import type { SurveyedThread } from '../observe/process-survey.ts';
import type { ThreadSurvey } from '../observe/thread-survey.ts';
import type { Calls } from '../threads/calls.ts';
import { inTime } from '../threads/in-time.ts';
import type { WorkerThreadMethods } from './worker-methods.ts';

const ANSWER_MS = 1_000;

/** A worker that is asked for its part of each snapshot. */
export class SurveyedWorker implements SurveyedThread {
  readonly worker: number;
  readonly #calls: Pick<Calls<WorkerThreadMethods, object>, 'call'>;
  readonly #scheduler: Scheduler;
  #pending: Promise<ThreadSurvey> | undefined;

  constructor(worker: number, calls: Pick<Calls<WorkerThreadMethods, object>, 'call'>, scheduler: Scheduler) {
    this.worker = worker;
    this.#calls = calls;
    this.#scheduler = scheduler;
  }

  /** A late answer is that of the next snapshot: questions do not pile up at a slow worker. */
  survey(): Promise<ThreadSurvey | undefined> {
    this.#pending ??= this.#calls.call('survey').finally(() => {
      this.#pending = undefined;
    });
    return inTime<ThreadSurvey | undefined>(this.#pending, ANSWER_MS, undefined, this.#scheduler);
  }

  surveyRooms(names: readonly string[]): Promise<readonly RoomMembers[] | undefined> {
    const answer = this.#calls.call('surveyRooms', names);
    return inTime<readonly RoomMembers[] | undefined>(answer, ANSWER_MS, undefined, this.#scheduler);
  }
}
