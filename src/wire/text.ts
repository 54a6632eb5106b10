import type { LogRecord, Records } from '../hub/log.ts';
import type { Frame } from '../hub/subscriber.ts';

/** The one room of wires that know no rooms. */
export const PUBLIC_ROOM = 'lobby';

/** What a record says, as text. What clients of the native protocol say is JSON: the chat's `{ text }` is its text, anything else is shown as it is. */
export function textIn({ data, json }: LogRecord): string {
  if (!json) return data;
  const value = JSON.parse(data) as { text?: unknown } | null;
  return typeof value?.text === 'string' ? value.text : data;
}

/** Encodes each record in a frame of its own, for clients that take a frame for a message. */
export function apart(write: (record: LogRecord) => string) {
  return (_room: string, records: Records, from: number, most: number): Frame => {
    const bytes = Buffer.from(write(records.at(from + 1)));
    const more: Buffer[] = [];
    for (let size = bytes.byteLength, to = from + 1; to < records.head; to++) {
      const next = Buffer.from(write(records.at(to + 1)));
      size += next.byteLength;
      if (size > most) break;
      more.push(next);
    }
    const to = from + 1 + more.length;
    return more.length > 0 ? { bytes, more, from, to } : { bytes, from, to };
  };
}
