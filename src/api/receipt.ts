import { randomUUID } from 'node:crypto';
import type { Notice, Pump, Subscriber } from '../hub/subscriber.ts';
import { noticeTaker } from './notice-taker.ts';

type Sent = Notice & { readonly t: 'sent' };
type History = Notice & { readonly t: 'history' };

/** The Hub's answer to a request, or the reason of its failure. */
export type Answer =
  | { readonly kind: 'sent'; readonly sent: Sent }
  | { readonly kind: 'history'; readonly history: History }
  /** The Hub is busy: nothing was done. */
  | { readonly kind: 'busy' }
  /** The store cannot be reached: nothing was done. */
  | { readonly kind: 'unavailable' }
  /** A message may be stored or not. */
  | { readonly kind: 'unknown' };

/** Receipt is the subscriber that the Hub answers a request over HTTP to. It joins no room. */
export class Receipt implements Subscriber {
  readonly id = randomUUID();
  readonly user: string;
  readonly pump: Pump;
  /** Resolves with the first answer. Never rejects. */
  readonly answer: Promise<Answer>;
  readonly #settle: (answer: Answer) => void;
  #closed = false;
  #uncertain = false;

  constructor(user: string) {
    let settle: (answer: Answer) => void = () => {};
    this.answer = new Promise((resolve) => {
      settle = resolve;
    });
    this.#settle = settle;
    this.user = user;
    this.pump = noticeTaker('receipts', (notice) => this.#take(notice));
  }

  /** Whether it takes no answer any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The mailbox was full. */
  refuse(): void {
    this.#settle({ kind: 'busy' });
  }

  /** No answer has come in time. */
  expire(): void {
    this.#closed = true;
    this.#settle({ kind: 'unknown' });
  }

  uncertain(): void {
    this.#uncertain = true;
  }

  notify(): void {}

  joined(): void {}

  evict(): void {}

  end(): void {}

  #take(notice: Notice): void {
    if (notice.t === 'sent') this.#settle({ kind: 'sent', sent: notice });
    else if (notice.t === 'history') this.#settle({ kind: 'history', history: notice });
    else if (notice.t !== 'error') return;
    else if (this.#uncertain) this.#settle({ kind: 'unknown' });
    else this.#settle({ kind: notice.code === 'busy' ? 'busy' : 'unavailable' });
  }
}

// Longer than an engine waits for its store.
const ANSWER_MS = 30_000;

/**
 * Returns the results of receipts, in order. Those that are not answered in time are `unknown`.
 *
 * @param resultOf is called as soon as a receipt has its answer.
 */
export async function collect<T>(
  receipts: readonly Receipt[],
  resultOf: (answer: Answer, index: number) => T,
): Promise<readonly T[]> {
  const timer = setTimeout(() => {
    for (const receipt of receipts) receipt.expire();
  }, ANSWER_MS);
  try {
    return await Promise.all(receipts.map(({ answer }, i) => answer.then((given) => resultOf(given, i))));
  } finally {
    clearTimeout(timer);
  }
}
