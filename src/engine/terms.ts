import type { Place } from '../protocol/v1.ts';

/**
 * A term of a log: with Redis the time that one primary accepts appends, with LMDB the time from
 * one restore to the next.
 */
export interface Term {
  /** Unique; from the primary's replication id with Redis. */
  readonly token: string;
  /** The first `seq` that was appended, or would be, in this term. */
  readonly first: number;
}

/** A life of a log: another one has other terms, and shares the records up to where they part. */
export interface Life {
  readonly log: string;
  /** Oldest first; never empty. */
  readonly terms: readonly Term[];
  /** The head. */
  readonly seq: number;
}

// As many as fit in the 128 bytes of an epoch, whatever the numbers.
const ANCESTORS = 4;

/**
 * Returns the epoch of a term, as clients see it: `log-token.first.previous.first.previous…`, where
 * each `first` is that of the term before it. A server that lacks the term, because another primary
 * takes over from an earlier one, or another backup was restored, learns from it where the terms
 * parted. Up to four terms before it are named. The log's first term is `log-token`.
 */
export function epochOf({ log, terms }: Life, index = terms.length - 1): string {
  let epoch = `${log}-${(terms[index] as Term).token}`;
  for (let i = index; i > 0 && i > index - ANCESTORS; i--) {
    epoch += `.${(terms[i] as Term).first.toString(36)}.${(terms[i - 1] as Term).token}`;
  }
  return epoch;
}

/** Returns a log's earlier epochs, each with the last `seq` that it shares with the current one. */
export function earlierEpochs(state: Life): readonly Place[] {
  return state.terms.slice(0, -1).map((_, i) => ({ epoch: epochOf(state, i), seq: endOf(state, i) }));
}

/**
 * Returns the last `seq` that a log shares with an epoch of it whose term, or whose start, it does
 * not have: the end of the last term that both have. Undefined when the log has none of those that
 * the epoch names. The common term is then an earlier one, and no list says where it ended in the
 * epoch's life: it may be anywhere up to the log's own end of it.
 */
export function divergedEnd(state: Life, epoch: string): number | undefined {
  const dash = epoch.lastIndexOf('-');
  if (epoch.slice(0, dash) !== state.log) return undefined;
  const [token, ...ancestors] = epoch.slice(dash + 1).split('.');
  const indexOf = (name: string | undefined) => state.terms.findIndex((term) => term.token === name);
  const own = indexOf(token);
  if (own !== -1) return endOf(state, own);
  for (let i = 0; i + 1 < ancestors.length; i += 2) {
    const start = Number.parseInt(ancestors[i] as string, 36);
    if (!(start >= 1)) return undefined;
    const common = indexOf(ancestors[i + 1]);
    if (common !== -1) return Math.min(start - 1, endOf(state, common));
  }
  return undefined;
}

/**
 * Returns the last `seq` that two lives of a log share: the end of their last common term, by the
 * one of them in which it ended earlier.
 */
export function sharedEnd(before: Life, after: Life): number {
  for (let i = before.terms.length - 1; i >= 0; i--) {
    const { token } = before.terms[i] as Term;
    const j = after.terms.findIndex((term) => term.token === token);
    if (j !== -1) return Math.min(endOf(before, i), endOf(after, j));
  }
  return 0;
}

/** Returns the life of a log that is in its first term, from its epoch. */
export function firstLife(epoch: string, seq: number): Life {
  const dash = epoch.lastIndexOf('-');
  return { log: epoch.slice(0, Math.max(0, dash)), terms: [{ token: epoch.slice(dash + 1), first: 1 }], seq };
}

/** Returns the life that goes on from another one in a new term, after the same records. */
export function nextLife(life: Life, token: string): Life {
  return { ...life, terms: [...life.terms, { token, first: life.seq + 1 }] };
}

function endOf({ terms, seq }: Life, index: number): number {
  const next = terms[index + 1];
  return next ? next.first - 1 : seq;
}
