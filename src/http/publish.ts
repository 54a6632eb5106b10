import { isUtf8 } from 'node:buffer';
import type { HttpRequest, HttpResponse } from '../transport/port.ts';
import type { Posted, Publishing } from '../wire/wire.ts';
import { plainText } from './answers.ts';

export const PUBLISH_PATH = '/publish';

/** What publishing needs. */
export interface PublishOptions {
  readonly publishing: Publishing;
  /** Waits until this address may send. @returns false when too much of it waits already. */
  readonly turn: (address: string) => Promise<boolean>;
  /** Says it. @returns the refusal, or undefined once it is in the room's log. */
  readonly say: (posted: Posted) => Promise<HttpResponse | undefined>;
}

/** Answers a POST to `/publish`: once the message is in its room's log, or with the reason why it never will be. */
export function createPublish({ publishing, turn, say }: PublishOptions) {
  const { most } = publishing;
  return async (request: HttpRequest): Promise<HttpResponse> => {
    const { remoteAddress } = request;
    const type = request.header('content-type');
    const body = await request.body(most);
    if (body === undefined) return plainText(413, 'Request Entity Too Large', { Connection: 'close' });
    if (!isUtf8(body)) return plainText(400, 'the message is not valid UTF-8');
    const posted = publishing.read(Buffer.from(body).toString(), type);
    if (typeof posted === 'string') return plainText(400, posted);
    if (!(await turn(remoteAddress))) return plainText(429, 'Too Many Requests', { 'Retry-After': '1' });
    return (await say(posted)) ?? { status: posted.accepted, headers: {}, body: '' };
  };
}
