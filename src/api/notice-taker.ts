import type { Encoder, Notice, Pump } from '../hub/subscriber.ts';

const NOTICES: Encoder['notices'] = new Set<Notice['t']>(['sent', 'history', 'error']);

/**
 * Returns the pump of a subscriber that joins no room. It passes the Hub's answers on as they are,
 * and encodes nothing.
 *
 * @param name of its encoder.
 */
export function noticeTaker(name: string, take: (notice: Notice) => void): Pump {
  const encoder: Encoder = {
    name,
    merges: false,
    notices: NOTICES,
    encodeNotice(notice) {
      take(notice);
      return '';
    },
    encode() {
      throw new Error(`${name} are members of no room`);
    },
  };
  return { encoder, writable: false, advance: ({ from }) => from, release() {} };
}
