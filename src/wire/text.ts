import type { LogRecord, Records } from '../hub/log.ts';
import type { Frame } from '../hub/subscriber.ts';

/** The one room of the wires that have no rooms. */
export const PUBLIC_ROOM = 'lobby';

/**
 * Returns a record's data as text. JSON comes from clients of the native protocol: the chat sends
 * `{ text }`, of which the text is returned; any other value stays JSON.
 */
export function recordText({ data, json }: LogRecord): string {
  if (!json) return data;
  const value = JSON.parse(data) as { text?: unknown } | null;
  return typeof value?.text === 'string' ? value.text : data;
}

/** Returns an `encode` for clients that read one message a frame: a frame for each record. */
export function encodeUnmerged(encodeRecord: (record: LogRecord) => string) {
  return (_room: string, records: Records, from: number, maxBytes: number): Frame => {
    const bytes = Buffer.from(encodeRecord(records.at(from + 1)));
    const more: Buffer[] = [];
    for (let size = bytes.byteLength, to = from + 1; to < records.head; to++) {
      const next = Buffer.from(encodeRecord(records.at(to + 1)));
      size += next.byteLength;
      if (size > maxBytes) break;
      more.push(next);
    }
    const to = from + 1 + more.length;
    return more.length > 0 ? { bytes, more, from, to } : { bytes, from, to };
  };
}
