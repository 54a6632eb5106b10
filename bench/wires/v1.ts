import { readMessage } from '../generator/message.ts';
import type { Decoder, Wire } from './wire.ts';

const MESSAGE = '"t":"message"';
const SEQ = '"seq":';

/** `pumphouse.v1`: one JSON object per line, in rooms with numbered messages. */
export const v1: Wire = {
  name: 'v1',
  path: '/ws',
  protocol: 'pumphouse.v1',
  rooms: true,
  replays: true,
  confirmsJoin: true,
  maxBytes: 16_000,
  join: (room, since) => [JSON.stringify({ t: 'join', room, since })],
  encode(text, room) {
    // Senders search frames for the start of a message, so the id must not contain it.
    const id = text.slice(0, text.indexOf(' ')).replace('.', '-');
    return `{"t":"send","room":"${room}","id":"${id}","data":"${text}"}`;
  },
  decoder: (bytes, checksNumbers = false) => new V1Decoder(bytes, checksNumbers),
};

class V1Decoder implements Decoder {
  readonly needsPayload = true;
  outOfSequence = 0;
  readonly #bytes: number;
  readonly #checksNumbers: boolean;
  /** The `seq` of the last message received. */
  #seq = 0;

  constructor(bytes: number, checksNumbers: boolean) {
    this.#bytes = bytes;
    this.#checksNumbers = checksNumbers;
  }

  joined(payload: Buffer): boolean {
    for (const line of payload.toString().split('\n')) {
      const event = JSON.parse(line);
      if (event.t === 'error') throw new Error(`the server rejects the join: ${event.code}`);
      if (event.t !== 'joined') continue;
      if (!event.recovered) throw new Error('the server no longer has the missed messages');
      this.#seq = event.seq;
      return true;
    }
    return false;
  }

  /**
   * Sequence numbers are contiguous, so the first and the last one of a frame determine the number
   * of messages.
   */
  count(payload: Buffer): number {
    if (this.#checksNumbers) return this.#countEach(payload);
    const at = payload.lastIndexOf(MESSAGE, undefined, 'latin1');
    if (at < 0) return 0;
    const first = numberAt(payload, payload.indexOf(MESSAGE, 0, 'latin1'));
    const last = numberAt(payload, at);
    if (first <= this.#seq) this.outOfSequence++;
    this.#seq = last;
    return last - first + 1;
  }

  /** Counts the messages one by one: a hole in the numbers is then missing from the count. */
  #countEach(payload: Buffer): number {
    let count = 0;
    for (let at = payload.indexOf(MESSAGE, 0, 'latin1'); at >= 0; count++) {
      const seq = numberAt(payload, at);
      if (seq <= this.#seq) this.outOfSequence++;
      else this.#seq = seq;
      at = payload.indexOf(MESSAGE, at + MESSAGE.length, 'latin1');
    }
    return count;
  }

  decode(payload: Buffer, found: Parameters<Decoder['decode']>[1]): void {
    for (const line of payload.toString().split('\n')) {
      const event = JSON.parse(line);
      if (event.t === 'error' || event.t === 'gap') found(undefined, line);
      if (event.t !== 'message') continue;
      found(readMessage(Buffer.from(String(event.data)), 0, this.#bytes), line);
    }
  }
}

/** @returns the `seq` of the message at offset `at`. */
function numberAt(payload: Buffer, at: number): number {
  let seq = 0;
  for (let i = payload.indexOf(SEQ, at, 'latin1') + SEQ.length; ; i++) {
    const digit = (payload[i] as number) - 48;
    if (!(digit >= 0 && digit <= 9)) return seq;
    seq = seq * 10 + digit;
  }
}
