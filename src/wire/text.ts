import type { LogRecord, Records } from '../hub/log.ts';
import type { Frame } from '../hub/subscriber.ts';

/** The one room of the wires that have no rooms. */
export const PUBLIC_ROOM = 'lobby';

/**
 * Returns a record's data as text. JSON comes from clients of the native protocol: the chat sends
 * `{ text }`, of which the text is returned; any other value stays JSON.
 */
export function recordText({ data, json, extra }: LogRecord): string {
  const text = json ? jsonText(data) : data;
  return extra?.kind === 'change' ? EDITED + text : text;
}

function jsonText(data: string): string {
  const value = JSON.parse(data) as { text?: unknown } | null;
  return typeof value?.text === 'string' ? value.text : data;
}

/** Starts the text of an edit for clients that know none. */
const EDITED = '(edited) ';

/** Returns the data of an edit as JSON, for clients that know no edits. */
export function editedJson({ data, json }: LogRecord): string {
  if (!json) return JSON.stringify({ text: EDITED + data });
  const value = JSON.parse(data) as { text?: unknown } | null;
  return typeof value?.text === 'string' ? JSON.stringify({ ...value, text: EDITED + value.text }) : data;
}

/**
 * Whether a record is shown to clients that know no changes: messages that are not deleted, and
 * edits that nothing has replaced.
 */
export function isShown({ extra }: LogRecord): boolean {
  if (extra === undefined) return true;
  return extra.kind === 'message' ? !extra.deleted : extra.op === 'edit' && !extra.replaced;
}

/** Returns an `encode` for clients that read one message a frame: a frame for each record. */
export function encodeUnmerged(encodeRecord: (record: LogRecord) => string) {
  return (_room: string, records: Records, from: number, maxBytes: number): Frame => {
    const hiddenTo = endOfHidden(records, from);
    if (hiddenTo > from) return silentFrame(from, hiddenTo);
    const bytes = Buffer.from(encodeRecord(records.at(from + 1)));
    const more: Buffer[] = [];
    for (let size = bytes.byteLength, to = from + 1; to < records.head && isShown(records.at(to + 1)); to++) {
      const next = Buffer.from(encodeRecord(records.at(to + 1)));
      size += next.byteLength;
      if (size > maxBytes) break;
      more.push(next);
    }
    const to = from + 1 + more.length;
    return more.length > 0 ? { bytes, more, from, to } : { bytes, from, to };
  };
}

/** Returns the last of the records after `from` that are not shown, or `from`. */
export function endOfHidden(records: Records, from: number): number {
  let to = from;
  while (to < records.head && !isShown(records.at(to + 1))) to++;
  return to;
}

const NOTHING = new Uint8Array(0);

/** Returns a frame of records that a wire shows nothing for. */
export function silentFrame(from: number, to: number): Frame {
  return { bytes: NOTHING, from, to, isSilent: true };
}
