import type { Place } from '../../protocol/v1.ts';
import { MalformedError } from './record-codec.ts';

/** A term of a log: the time that one primary accepts appends. */
export interface Term {
  /** Unique, from the primary's replication id. */
  readonly token: string;
  /** The first `seq` that was appended, or would be, in this term. */
  readonly first: number;
}

/** The state of a log in the room's meta. */
export interface LogState {
  readonly log: string;
  /** Oldest first; never empty. */
  readonly terms: readonly Term[];
  readonly seq: number;
  readonly first: number;
}

/** @param fields log, terms, seq and first. @throws MalformedError */
export function logStateOf(fields: readonly unknown[]): LogState {
  const [log, terms, seq, first] = fields.map(String);
  const state = {
    log: log as string,
    terms: (terms ?? '').split(',').map((term) => {
      const [token = '', start] = term.split(':');
      return { token, first: Number(start) };
    }),
    seq: Number(seq),
    first: Number(first),
  };
  const isTerm = ({ token, first }: Term) => token !== '' && Number.isSafeInteger(first);
  if (!Number.isSafeInteger(state.seq) || !Number.isSafeInteger(state.first) || !state.terms.every(isTerm)) {
    throw new MalformedError('its meta is malformed');
  }
  return state;
}

/** The epoch that clients see. */
export function epochOf(log: string, term: string): string {
  return `${log}-${term}`;
}

/** Returns a log's earlier epochs, each with the last `seq` that it shares with the current one. */
export function earlierEpochs({ log, terms }: LogState): readonly Place[] {
  return terms
    .slice(0, -1)
    .map(({ token }, i) => ({ epoch: epochOf(log, token), seq: (terms[i + 1] as Term).first - 1 }));
}

/**
 * Returns the last `seq` that two lives of a log share: the end of their last common term, by the
 * one of them in which it ended earlier.
 */
export function sharedEnd(before: LogState, after: LogState): number {
  for (let i = before.terms.length - 1; i >= 0; i--) {
    const { token } = before.terms[i] as Term;
    const j = after.terms.findIndex((term) => term.token === token);
    if (j !== -1) return Math.min(endOf(before, i), endOf(after, j));
  }
  return 0;
}

function endOf({ terms, seq }: LogState, index: number): number {
  const next = terms[index + 1];
  return next ? next.first - 1 : seq;
}
