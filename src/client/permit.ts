import type { Subscriber } from '../hub/ports.ts';
import type { Close } from '../protocol/close-codes.ts';
import type { Command, Said } from '../wire/wire.ts';

/** Why a client may not do something, or why that is not known. */
interface Refused {
  readonly code: 'forbidden' | 'unavailable';
  /** For people; the code's own unless given. */
  readonly message?: string;
}

export type Verdict = true | Refused;

/** Who is asked before a client does something; who is absent need not be. They never throw, and always answer. */
export interface Permit {
  join?(client: Subscriber, room: string): Verdict | Promise<Verdict>;
  send?(client: Subscriber, said: Said): Verdict | Promise<Verdict>;
}

/** Asks one, and the other where it agrees. */
export function both(one: Permit, other: Permit | undefined): Permit {
  if (other === undefined) return one;
  const then = <A extends unknown[]>(
    first: ((...asked: A) => Verdict | Promise<Verdict>) | undefined,
    second: ((...asked: A) => Verdict | Promise<Verdict>) | undefined,
  ) => {
    if (first === undefined || second === undefined) return first ?? second;
    return (...asked: A) => {
      const verdict = first(...asked);
      if (verdict instanceof Promise) return verdict.then((known) => (known === true ? second(...asked) : known));
      return verdict === true ? second(...asked) : verdict;
    };
  };
  const [join, send] = [then(one.join, other.join), then(one.send, other.send)];
  return { ...(join && { join }), ...(send && { send }) };
}

// What waits behind one question.
const WAITING = 64;

/** Lets a client's commands through in their order: while it is not known whether one is allowed, those after it wait. */
export class Turnstile {
  readonly #take: (command: Command) => Close | undefined;
  readonly #client: { readonly closed: boolean; end(close: Close): void };
  #waiting: Command[] | undefined;

  /** @param take carries a command out. */
  constructor(take: Turnstile['pass'], client: { readonly closed: boolean; end(close: Close): void }) {
    this.#take = take;
    this.#client = client;
  }

  /** Whether no more may wait. */
  get full(): boolean {
    return this.#waiting !== undefined && this.#waiting.length >= WAITING;
  }

  /** @returns why the client must be closed, or undefined. */
  pass(command: Command): Close | undefined {
    if (this.#waiting === undefined) return this.#take(command);
    this.#waiting.push(command);
    return undefined;
  }

  /** Goes on with the answer, now or when it is there. @returns why the client must be closed, or undefined. */
  ask<T>(answer: T | Promise<T>, goOn: (answer: T) => Close | undefined): Close | undefined {
    if (!(answer instanceof Promise)) return goOn(answer);
    this.#waiting = [];
    void answer.then((known) => {
      if (this.#client.closed) return;
      const close = goOn(known) ?? this.#takeWaiting();
      if (close) this.#client.end(close);
    });
    return undefined;
  }

  #takeWaiting(): Close | undefined {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const command of waiting) {
      const close = this.pass(command);
      if (close) return close;
    }
    return undefined;
  }
}
