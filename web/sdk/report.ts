import type { Report } from '../../src/protocol/v1.ts';
import type { State } from './types.ts';

/**
 * The end of a live connection: the state that followed, when the connection was live and when it
 * ended, as in `performance.now()`, and whether the platform was online and the page hidden.
 * Platforms that do not know give undefined.
 */
export type End = readonly [
  state: State,
  liveSince: number,
  endedAt: number,
  online: boolean | undefined,
  hidden: boolean | undefined,
];

/** That of `src/protocol/v1.ts`. An import would move it to a file of its own. */
const REASON_BYTES = 123;

/** Returns the report to the server of how a connection ended. */
export function reportOf([state, liveSince, endedAt, online, hidden]: End): Report {
  const { why = '', code } = state as { why?: string; code?: number };
  const bytes = new TextEncoder().encode(why).subarray(0, REASON_BYTES);
  return {
    t: 'report',
    ...(code !== undefined && { code }),
    // A character that is cut in two is left out.
    reason: new TextDecoder().decode(bytes, { stream: true }),
    after: Math.round(endedAt - liveSince),
    away: Math.round(performance.now() - endedAt),
    ...(online !== undefined && { online }),
    ...(hidden !== undefined && { visible: !hidden }),
  };
}
