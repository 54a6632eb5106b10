import type { Records } from '../../src/hub/log.ts';
import type { Frame } from '../../src/hub/subscriber.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { type Command, noNotices, type Wire } from '../../src/wire/wire.ts';

/** A record as a client of a numbered wire receives it. */
export interface ReceivedRecord {
  readonly room: string;
  readonly seq: number;
  readonly data: string;
}

/** The data of a change, and of a message that was changed, as a numbered wire shows it. */
export const CHANGED = '*';

/** Returns a wire whose frames show room and seq, so that each received record can be checked. */
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
    decode(frame, binary): readonly Command[] {
      const text = Buffer.from(frame).toString();
      const bar = text.indexOf('|');
      if (binary || bar < 0) return [{ kind: 'violation', close: closes.protocolError }];
      const room = text.slice(0, bar);
      const data = text.slice(bar + 1);
      return [{ kind: 'broadcast', room, id: '', data, json: false, bytes: Buffer.byteLength(data) }];
    },
    encode(room: string, records: Records, from: number): Frame {
      const lines: string[] = [];
      let bytes = 0;
      let to = from;
      while (to < records.head) {
        const record = records.at(to + 1);
        const line = `${room}|${record.seq}|${record.extra ? CHANGED : record.data}`;
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

/** Parses the frames that a client of a numbered wire received. */
export function parseFrames(frames: readonly Uint8Array[]): ReceivedRecord[] {
  const lines = frames.flatMap((frame) => Buffer.from(frame).toString().split('\n'));
  return lines.map((line) => {
    const [room = '', seq = '', data = ''] = line.split('|');
    return { room, seq: Number(seq), data };
  });
}
