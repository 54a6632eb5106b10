import type { LogRecord } from '../hub/log.ts';
import type { Place } from '../protocol/v1.ts';
import type { Batch } from './cursor.ts';

type Gap = Extract<Batch, { kind: 'gap' }>;

/**
 * Returns the body of a batch of messages. The same records give the same text: a retry may be sent
 * by another process.
 */
export function messagesBody(webhook: string, room: string, epoch: string, records: readonly LogRecord[]): string {
  const head = `{"type":"messages","webhook":${JSON.stringify(webhook)},"room":${JSON.stringify(room)}`;
  return `${head},"epoch":${JSON.stringify(epoch)},"messages":[${records.map(messageOf).join(',')}]}`;
}

/** Returns the body that names records which never come. */
export function gapBody(webhook: string, room: string, epoch: string, { from, to, why, next }: Gap): string {
  const { epoch: nextEpoch, seq }: Place = next;
  return JSON.stringify({ type: 'gap', webhook, room, epoch, from, to, why, next: { epoch: nextEpoch, seq } });
}

/** A message with the fields of the native protocol. Text of another wire becomes `{ text }`. */
function messageOf({ seq, id, from, at, data, json }: LogRecord): string {
  const value = json ? data : `{"text":${JSON.stringify(data)}}`;
  return `{"seq":${seq},"id":${JSON.stringify(id)},"from":${JSON.stringify(from)},"at":${at},"data":${value}}`;
}
