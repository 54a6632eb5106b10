import { readMessage } from '../generator/message.ts';
import type { Dialect, Ear } from './dialect.ts';

const MESSAGE = '"t":"message"';
const SEQ = '"seq":';

/** `pumphouse.v1`: JSON, a line each, in rooms whose messages are numbered. */
export const v1: Dialect = {
  name: 'v1',
  path: '/ws',
  protocol: 'pumphouse.v1',
  rooms: true,
  longest: 16_000,
  opening: (room, since) => [JSON.stringify({ t: 'join', room, since })],
  message(text, room) {
    // The name of the message must not look like its beginning, which senders look for.
    const id = text.slice(0, text.indexOf(' ')).replace('.', '-');
    return `{"t":"send","room":"${room}","id":"${id}","data":"${text}"}`;
  },
  ear: (bytes) => new V1Ear(bytes),
};

class V1Ear implements Ear {
  readonly whole = true;
  readonly #bytes: number;
  /** The number of the last message that it heard. */
  #seq = 0;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  greet(payload: Buffer): boolean {
    for (const line of payload.toString().split('\n')) {
      const said = JSON.parse(line);
      if (said.t === 'error') throw new Error(`it cannot join: ${said.code}`);
      if (said.t !== 'joined') continue;
      if (!said.recovered) throw new Error('what it asked for is not there any more');
      this.#seq = said.seq;
      return true;
    }
    return false;
  }

  /** Messages are numbered without a hole, so the last one of a frame tells how many came. */
  count(payload: Buffer): number {
    const at = payload.lastIndexOf(MESSAGE, undefined, 'latin1');
    if (at < 0) return 0;
    let seq = 0;
    for (let i = payload.indexOf(SEQ, at, 'latin1') + SEQ.length; ; i++) {
      const digit = (payload[i] as number) - 48;
      if (!(digit >= 0 && digit <= 9)) break;
      seq = seq * 10 + digit;
    }
    const count = seq - this.#seq;
    this.#seq = seq;
    return count;
  }

  read(payload: Buffer, found: Parameters<Ear['read']>[1]): void {
    for (const line of payload.toString().split('\n')) {
      const said = JSON.parse(line);
      if (said.t === 'error' || said.t === 'gap') found(undefined, line);
      if (said.t !== 'message') continue;
      found(readMessage(Buffer.from(String(said.data)), 0, this.#bytes), line);
    }
  }
}
