import { SHOWN_USERS } from '../hub/changes.ts';
import type { ChangeExtra, LogRecord, MessageExtra, Reacted } from '../hub/log.ts';
import { editedJson } from './text.ts';

/**
 * Encodes a record's own fields and the closing brace, as a `message` has them. Text of another
 * wire becomes `{ text }`. Returns an empty text for what a client that knows no changes is not
 * shown: deleted messages, and all changes but edits.
 */
export function encodeRecord(record: LogRecord): string {
  if (record.extra === undefined) return `${head(record)},"data":${jsonOf(record)}}`;
  if (record.extra.kind === 'change') return isEdit(record) ? `${head(record)},"data":${editedJson(record)}}` : '';
  return record.extra.deleted ? '' : encodeMessage(record, record.extra);
}

/** Encodes the fields of a message. Those of a deleted one have no `data`. */
export function encodeAnyMessage(record: LogRecord): string {
  if (record.extra?.kind === 'message') return encodeMessage(record, record.extra);
  return `${head(record)},"data":${jsonOf(record)}}`;
}

/** Encodes the fields of a change, as a `change` has them. */
export function encodeChange(record: LogRecord, { op, of, replaced }: ChangeExtra): string {
  const start = `${head(record)},"op":"${op}","of":${of}`;
  if (op === 'edit' && !replaced) return `${start},"data":${jsonOf(record)}}`;
  return op === 'react' || op === 'unreact' ? `${start},"reaction":${JSON.stringify(record.data)}}` : `${start}}`;
}

/** Whether the record is an edit that nothing has replaced. */
function isEdit({ extra }: LogRecord): boolean {
  return extra?.kind === 'change' && extra.op === 'edit' && extra.replaced === undefined;
}

function head({ seq, id, from, at }: LogRecord): string {
  return `"seq":${seq},"id":${quote(id)},"from":${quote(from)},"at":${at}`;
}

function jsonOf({ data, json }: LogRecord): string {
  return json ? data : `{"text":${JSON.stringify(data)}}`;
}

function encodeMessage(record: LogRecord, { reply, edited, deleted, reactions, changed }: MessageExtra): string {
  let text = head(record);
  if (!deleted) text += `,"data":${jsonOf(record)}`;
  if (reply !== undefined) text += `,"reply":${reply}`;
  if (edited !== undefined) text += `,"edited":${edited}`;
  if (deleted) text += ',"deleted":true';
  if (reactions !== undefined) text += `,"reactions":${JSON.stringify(reactions.map(shown))}`;
  return changed === undefined ? `${text}}` : `${text},"changed":${changed}}`;
}

function shown([reaction, users]: Reacted) {
  return { reaction, count: users.length, users: users.slice(0, SHOWN_USERS) };
}

// Characters that JSON does not escape.
const PLAIN = /^[ !#-[\]-~]*$/;

/** Returns a text as JSON. */
export function quote(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}
