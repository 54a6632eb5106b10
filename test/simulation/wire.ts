import type { Records } from '../../src/hub/log.ts';
import type { Frame } from '../../src/hub/subscriber.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { type Command, noNotices, type Wire } from '../../src/wire/wire.ts';

/** One record as a peer of this wire receives it. */
export interface Seen {
  readonly room: string;
  readonly seq: number;
  readonly data: string;
}

/** A wire of the simulation: it shows room and seq, so that what a peer received can be checked to the record. */
export function numbered(name: string, rooms: readonly string[], frameBytes: number, merges = true): Wire {
  return {
    name,
    path: '/ws',
    library: 'gorilla',
    rooms,
    maxMessageSize: 512,
    pingPeriod: 2_000,
    pongWait: 3_000,
    writeWait: 1_000,
    decode(data, binary): readonly Command[] {
      const text = Buffer.from(data).toString();
      const bar = text.indexOf('|');
      if (binary || bar < 0) return [{ kind: 'violation', close: closes.protocolError }];
      const said = text.slice(bar + 1);
      const room = text.slice(0, bar);
      return [{ kind: 'broadcast', room, id: '', data: said, json: false, bytes: Buffer.byteLength(said) }];
    },
    encode(room: string, log: Records, from: number): Frame {
      const lines: string[] = [];
      let bytes = 0;
      let to = from;
      while (to < log.head) {
        const record = log.at(to + 1);
        const line = `${room}|${record.seq}|${record.data}`;
        bytes += line.length + 1;
        if (lines.length > 0 && bytes > frameBytes) break;
        lines.push(line);
        to++;
      }
      if (merges) return { bytes: Buffer.from(lines.join('\n')), from, to };
      const [first, ...more] = lines.map((line) => Buffer.from(line));
      return { bytes: first as Buffer, more, from, to };
    },
    merges,
    ...noNotices,
    closeFrame: (close) => close,
  };
}

/** Reads the frames that a peer of a numbered wire received. */
export function seen(frames: readonly Uint8Array[]): Seen[] {
  const lines = frames.flatMap((frame) => Buffer.from(frame).toString().split('\n'));
  return lines.map((line) => {
    const [room = '', seq = '', data = ''] = line.split('|');
    return { room, seq: Number(seq), data };
  });
}
