import type { Life, Term } from '../terms.ts';
import { MalformedError } from './record-codec.ts';

/** The state of a log in the room's meta. */
export interface LogState extends Life {
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
