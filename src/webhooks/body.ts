import type { LogRecord, MessageExtra } from '../hub/log.ts';
import type { Place } from '../protocol/v1.ts';
import type { Batch } from './cursor.ts';

type Gap = Extract<Batch, { kind: 'gap' }>;

/**
 * Returns the body of a batch of messages, and of changes if there are any. The same records give
 * the same text: a retry may be sent by another process. Only what has changed meanwhile differs.
 */
export function messagesBody(webhook: string, room: string, epoch: string, records: readonly LogRecord[]): string {
  const head = `{"type":"messages","webhook":${JSON.stringify(webhook)},"room":${JSON.stringify(room)}`;
  const messages = records.filter(({ extra }) => extra?.kind !== 'change');
  const list = `${head},"epoch":${JSON.stringify(epoch)},"messages":[${messages.map(messageOf).join(',')}]`;
  return messages.length === records.length ? `${list}}` : `${list},"changes":[${changesOf(records)}]}`;
}

/** Returns the body that names records which never come. */
export function gapBody(webhook: string, room: string, epoch: string, { from, to, why, next }: Gap): string {
  const { epoch: nextEpoch, seq }: Place = next;
  return JSON.stringify({ type: 'gap', webhook, room, epoch, from, to, why, next: { epoch: nextEpoch, seq } });
}

/** A message with the fields of the native protocol. Text of another wire becomes `{ text }`. */
function messageOf(record: LogRecord): string {
  const { extra } = record;
  const fields = extra?.kind === 'message' ? JSON.stringify(extrasOf(extra)).slice(1, -1) : '';
  const data = extra?.kind === 'message' && extra.deleted ? '' : `,"data":${dataOf(record)}`;
  return `{${headOf(record)}${data}${fields && `,${fields}`}}`;
}

function changesOf(records: readonly LogRecord[]): string {
  const changes: string[] = [];
  for (const record of records) {
    const { extra } = record;
    if (extra?.kind !== 'change') continue;
    const { op, of, replaced } = extra;
    let content = op === 'edit' && !replaced ? `,"data":${dataOf(record)}` : '';
    if (op === 'react' || op === 'unreact') content = `,"reaction":${JSON.stringify(record.data)}`;
    changes.push(`{${headOf(record)},"op":"${op}","of":${of}${content}}`);
  }
  return changes.join(',');
}

function headOf({ seq, id, from, at }: LogRecord): string {
  return `"seq":${seq},"id":${JSON.stringify(id)},"from":${JSON.stringify(from)},"at":${at}`;
}

function dataOf({ data, json }: LogRecord): string {
  return json ? data : `{"text":${JSON.stringify(data)}}`;
}

function extrasOf({ reply, edited, deleted, reactions, changed }: MessageExtra) {
  const shown = reactions?.map(([reaction, users]) => ({
    reaction,
    count: users.length,
    users: users.slice(0, SHOWN),
  }));
  return {
    ...(reply !== undefined && { reply }),
    ...(edited !== undefined && { edited }),
    ...(deleted && { deleted }),
    ...(shown && { reactions: shown }),
    ...(changed !== undefined && { changed }),
  };
}

// As in the native protocol.
const SHOWN = 100;
