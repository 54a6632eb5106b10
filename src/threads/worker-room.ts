import type { EngineListener, Outcome, Position } from '../hub/engine.ts';
import type { LogRecord } from '../hub/log.ts';
import type { Reading, Standing } from './log-methods.ts';

/** Shared by the rooms of a worker. */
export interface WorkerRoomContext {
  readonly listener: EngineListener;
  /** Reads records of an attachment. Rejects when the store cannot be reached. */
  read(attachment: number, after: number, limit: number): Promise<Reading>;
  /** Resolves after a moment, to try again. */
  pause(): Promise<void>;
}

/** What waits until the records before it have been read. */
type Step =
  /** Records up to a `seq` are to be read. */
  | { readonly kind: 'read'; to: number }
  | { readonly kind: 'decided'; readonly outcomes: readonly Outcome[] }
  | PlaceStep;

interface PlaceStep {
  readonly kind: 'moved' | 'skipped';
  readonly position: Position;
}

/** Someone who waits for a standing. */
interface Waiter {
  readonly standing: Pick<Standing, 'seq' | 'moves'>;
  readonly resolve: () => void;
}

// As many as a hub's turn takes, so that a worker that is behind reads no faster than it delivers.
const PAGE = 1024;

const FAILED: Outcome = { kind: 'failed' };

/**
 * A room that a worker has attached: follows its log by the frames of the log thread. Commits that
 * did not fit into the ring are read, while later frames wait.
 */
export class WorkerRoom {
  readonly name: string;
  readonly attachment: number;
  readonly #context: WorkerRoomContext;
  #position: Position | undefined;
  /** How often the log has moved since the attachment. */
  #moves = 0;
  readonly #steps: Step[] = [];
  /** Before the position is known: what is to be applied to it. */
  readonly #early: ((position: Position) => Position)[] = [];
  /** Ends of epochs that the log has diverged from. */
  #ends = new Map<string, number>();
  #waiters: Waiter[] = [];
  #isRunning = false;
  #released = false;

  constructor(name: string, attachment: number, context: WorkerRoomContext) {
    this.name = name;
    this.attachment = attachment;
    this.#context = context;
  }

  /** @throws Error before the room is attached. */
  get position(): Position {
    if (this.#position === undefined) throw new Error(`the room ${JSON.stringify(this.name)} is not attached`);
    return this.#position;
  }

  get moves(): number {
    return this.#moves;
  }

  divergedEnd(epoch: string): number | undefined {
    return this.#ends.get(epoch);
  }

  /**
   * The log thread has attached the room. Frames may have come before its reply did.
   *
   * @returns the position, with those frames.
   */
  start(position: Position): Position {
    this.#position = this.#early.splice(0).reduce((at, apply) => apply(at), position);
    return this.#position;
  }

  release(): void {
    this.#released = true;
    this.#steps.length = 0;
    for (const { resolve } of this.#waiters.splice(0)) resolve();
  }

  /** The log begins at `first` by now. */
  trimmed(first: number): void {
    const position = this.position;
    if (first > position.first) this.#position = { ...position, first: Math.min(first, position.seq + 1) };
  }

  /** Resolves when the listener has been passed what a standing has. */
  reach({ seq, moves, ends }: Standing): Promise<void> {
    this.#ends = new Map(ends);
    return new Promise((resolve) => {
      this.#waiters.push({ standing: { seq, moves }, resolve });
      this.#resolveWaiters();
    });
  }

  committed(records: readonly LogRecord[], first: number): void {
    const last = (records.at(-1) as LogRecord).seq;
    if (this.#position === undefined) {
      this.#early.push((position) => (last > position.seq ? { ...position, seq: last, first } : position));
    } else if (this.#steps.length > 0 || (records[0] as LogRecord).seq !== this.#position.seq + 1) {
      this.#readTo(last);
    } else {
      this.#commit(records, first);
    }
  }

  behind(seq: number): void {
    if (this.#position === undefined) {
      this.#early.push((position) => (seq > position.seq ? { ...position, seq } : position));
    } else this.#readTo(seq);
  }

  decided(outcomes: readonly Outcome[]): void {
    if (this.#steps.length === 0) this.#context.listener.decided({ room: this.name, outcomes });
    else this.#steps.push({ kind: 'decided', outcomes });
  }

  moved(position: Position): void {
    if (this.#position === undefined) {
      this.#moves++;
      this.#early.push(() => position);
    } else this.#changePlace('moved', position);
  }

  skipped(position: Position): void {
    if (this.#position === undefined) this.#early.push(() => position);
    else this.#changePlace('skipped', position);
  }

  #changePlace(kind: 'moved' | 'skipped', position: Position): void {
    this.#steps.push({ kind, position });
    if (!this.#isRunning) this.#applySteps();
  }

  /** Reads on, unless the room has these records already. */
  #readTo(to: number): void {
    const last = this.#steps.at(-1);
    if (last?.kind === 'read') last.to = Math.max(last.to, to);
    else if (last !== undefined || to > this.position.seq) this.#steps.push({ kind: 'read', to });
    if (!this.#isRunning && this.#steps.length > 0) void this.#run();
  }

  /** Applies the steps that nothing needs to be read for. */
  #applySteps(): void {
    for (let [step] = this.#steps; step !== undefined; [step] = this.#steps) {
      if (step.kind === 'read') {
        if (step.to > this.position.seq) {
          if (!this.#isRunning) void this.#run();
          return;
        }
        this.#steps.shift();
      } else {
        this.#steps.shift();
        this.#apply(step);
      }
    }
  }

  #apply(step: Exclude<Step, { kind: 'read' }>): void {
    if (step.kind === 'decided') this.#context.listener.decided({ room: this.name, outcomes: step.outcomes });
    else if (step.kind === 'moved') this.#move(step.position);
    else this.#skip(step.position);
  }

  /** Reads what is missing, and applies the steps after it. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    for (let [step] = this.#steps; step?.kind === 'read' && !this.#released; [step] = this.#steps) {
      await this.#read(step);
      this.#applySteps();
    }
    this.#isRunning = false;
  }

  async #read(step: Step & { kind: 'read' }): Promise<void> {
    const { seq } = this.position;
    if (this.#sharedEnd() <= seq) return this.#passMoves();
    const to = Math.min(step.to, this.#sharedEnd());
    let reading: Reading;
    try {
      reading = await this.#context.read(this.attachment, seq, Math.min(PAGE, to - seq));
    } catch {
      return this.#context.pause(); // the store is away
    }
    if (this.#released) return;
    const { records, first, moves } = reading;
    // The frame of a move is on the way, or came meanwhile.
    if (moves !== this.#moves + this.#moveSteps().length) return this.#context.pause();
    if (to > this.#sharedEnd()) return;
    this.trimmed(first);
    const found = records[0]?.seq ?? to + 1;
    if (found > seq + 1) this.#skip({ ...this.position, seq: found - 1, first: Math.max(first, this.position.first) });
    if (records.length > 0) this.#commit(records, first);
  }

  #moveSteps(): readonly PlaceStep[] {
    return this.#steps.filter((step): step is PlaceStep => step.kind === 'moved');
  }

  /** Returns how far the current life is the same as the one that can be read. */
  #sharedEnd(): number {
    return Math.min(...this.#moveSteps().map(({ position }) => position.seq), Number.POSITIVE_INFINITY);
  }

  /**
   * What is left to read before the last move is lost, or read after it. The lives between are
   * passed over: nothing of them can be read. Drafts that were stored in one of them and are lost
   * have failed.
   */
  #passMoves(): void {
    const end = this.#sharedEnd();
    const first = this.#steps.findIndex(({ kind }) => kind === 'moved');
    const last = this.#steps.findLastIndex(({ kind }) => kind === 'moved');
    for (const step of this.#steps.splice(0, first)) if (step.kind === 'decided') this.#apply(step);
    const passed = this.#steps.splice(0, last - first + 1);
    const { position } = passed.at(-1) as PlaceStep;
    this.#moves += passed.filter(({ kind }) => kind === 'moved').length - 1;
    this.#move({ ...position, seq: Math.min(end, position.seq) });
    this.#steps.unshift({ kind: 'read', to: position.seq }, ...survivingDecisions(passed));
  }

  #commit(records: readonly LogRecord[], first: number): void {
    const { seq } = records.at(-1) as LogRecord;
    const position = this.position;
    this.#position = { ...position, seq, first: Math.max(first, position.first) };
    this.#context.listener.committed({ room: this.name, records, own: false });
    this.#resolveWaiters();
  }

  #move(position: Position): void {
    const head = Math.min(this.position.seq, position.seq);
    this.#moves++;
    this.#ends.clear();
    this.#position = { ...position, seq: head };
    this.#context.listener.moved({ room: this.name, epoch: position.epoch, seq: head });
    this.#resolveWaiters();
  }

  #skip(position: Position): void {
    if (position.seq <= this.position.seq) return;
    this.#position = position;
    this.#context.listener.skipped({ room: this.name, epoch: position.epoch, seq: position.seq });
    this.#resolveWaiters();
  }

  #resolveWaiters(): void {
    if (this.#waiters.length === 0) return;
    const { seq } = this.position;
    const isReached = ({ standing }: Waiter) =>
      this.#moves > standing.moves || (this.#moves === standing.moves && seq >= standing.seq);
    const reached = this.#waiters.filter(isReached);
    this.#waiters = this.#waiters.filter((waiter) => !isReached(waiter));
    for (const { resolve } of reached) resolve();
  }
}

/** Returns the decisions of lives that are passed over, as they are after the last move. */
function survivingDecisions(passed: readonly Step[]): Step[] {
  let end = Number.POSITIVE_INFINITY;
  const decisions: Step[] = [];
  for (const step of passed.toReversed()) {
    if (step.kind === 'moved') end = Math.min(end, step.position.seq);
    if (step.kind !== 'decided') continue;
    const limit = end;
    const outcomes = step.outcomes.map((outcome) => ('seq' in outcome && outcome.seq > limit ? FAILED : outcome));
    decisions.unshift({ kind: 'decided', outcomes });
  }
  return decisions;
}
