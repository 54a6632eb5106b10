import type { Subscriber } from '../hub/subscriber.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import { andThen, type NowOrLater } from '../protocol/now-or-later.ts';
import type { Command, Publication } from '../wire/wire.ts';

/** Whether a client may do something. */
export type Decision = { readonly kind: 'allowed' } | Denied;

/**
 * `forbidden` is final; `unavailable` means that no decision could be made, so the client may
 * retry.
 */
export interface Denied {
  readonly kind: 'denied';
  readonly code: 'forbidden' | 'unavailable';
  /** For people. @default the message of the error `code` */
  readonly message?: string;
}

export const ALLOWED: Decision = { kind: 'allowed' };

/**
 * Decides what clients may do. An absent method allows everything. Methods never throw, and their
 * promises resolve.
 */
export interface Authorizer {
  join?(client: Subscriber, room: string): NowOrLater<Decision>;
  send?(client: Subscriber, publication: Publication): NowOrLater<Decision>;
  signal?(client: Subscriber, room: string): NowOrLater<Decision>;
}

/** Combines two authorizers: both must allow. The second is not asked after a denial. */
export function both(first: Authorizer, second: Authorizer | undefined): Authorizer {
  if (second === undefined) return first;
  const join = bothMethods(first.join, second.join);
  const send = bothMethods(first.send, second.send);
  const signal = bothMethods(first.signal, second.signal);
  return { ...(join && { join }), ...(send && { send }), ...(signal && { signal }) };
}

type Method<A extends unknown[]> = ((...args: A) => NowOrLater<Decision>) | undefined;

function bothMethods<A extends unknown[]>(first: Method<A>, second: Method<A>): Method<A> {
  if (first === undefined || second === undefined) return first ?? second;
  return (...args) => andThen(first(...args), (decision) => (decision.kind === 'allowed' ? second(...args) : decision));
}

/** The client of a command queue. */
interface CommandSource {
  readonly reading: boolean;
  endInOrder(close: Close): void;
}

// Commands that may wait behind one decision.
const MAX_WAITING = 64;

/** Runs a client's commands in order: while a decision is pending, the commands after it wait. */
export class CommandQueue {
  readonly #run: (command: Command) => Close | undefined;
  readonly #client: CommandSource;
  #waiting: Command[] | undefined;

  /** @param run runs a command. @returns why the client must be closed, or undefined. */
  constructor(run: (command: Command) => Close | undefined, client: CommandSource) {
    this.#run = run;
    this.#client = client;
  }

  /** Whether no more commands may wait. */
  get full(): boolean {
    return this.#waiting !== undefined && this.#waiting.length >= MAX_WAITING;
  }

  /** Runs a command, now or in its turn. @returns why the client must be closed, or undefined. */
  add(command: Command): Close | undefined {
    if (this.#waiting === undefined) return this.#run(command);
    this.#waiting.push(command);
    return undefined;
  }

  /**
   * Calls `next` with an answer, now or when its promise resolves. Until then commands wait.
   *
   * @returns why the client must be closed, or undefined.
   */
  await<T>(answer: NowOrLater<T>, next: (answer: T) => Close | undefined): Close | undefined {
    if (!(answer instanceof Promise)) return next(answer);
    this.#waiting = [];
    void answer.then((value) => {
      if (!this.#client.reading) return;
      const close = next(value) ?? this.#runWaiting();
      if (close) this.#client.endInOrder(close);
    });
    return undefined;
  }

  #runWaiting(): Close | undefined {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const command of waiting) {
      const close = this.add(command);
      if (close) return close;
    }
    return undefined;
  }
}

/** The close of a client whose wire cannot express the denial. */
export function closeFor({ code }: Denied): Close {
  return code === 'forbidden' ? closes.forbidden : closes.busy;
}
