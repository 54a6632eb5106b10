import { isUtf8 } from 'node:buffer';
import type { Principal, Unknown } from '../auth/authenticator.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import type { HttpPost, Publishing } from '../wire/wire.ts';
import { type Admission, plainText, tooMany, unauthorized } from './responses.ts';

export const PUBLISH_PATH = '/publish';

/** What publishing needs. */
export interface PublishOptions {
  readonly publishing: Publishing;
  readonly addressOf: (request: HttpRequest) => string;
  /** Waits until this address may send. @returns false when too much of it waits already. */
  readonly turn: (address: string) => Promise<boolean>;
  /** Finds out who posts. The request is read before it returns. */
  readonly identify: (request: HttpRequest) => Principal | Unknown | Promise<Principal | Unknown>;
  /** Reads the request for the program that runs the server. @returns what asks it who may come, and as whom. */
  readonly hook: (request: HttpRequest) => () => Admission | Promise<Admission>;
  /** Says it. @returns the refusal, or undefined once it is in the room's log. */
  readonly say: (posted: HttpPost, known: Principal) => Promise<HttpResponse | undefined>;
}

/** Answers a POST to `/publish`: once the message is in its room's log, or with the reason why it never will be. */
export function createPublish({ publishing, addressOf, turn, identify, hook, say }: PublishOptions) {
  const { maxBodyBytes } = publishing;
  return async (request: HttpRequest): Promise<HttpResponse> => {
    const address = addressOf(request);
    const type = request.header('content-type');
    const ask = hook(request);
    const [known, body] = await Promise.all([identify(request), request.body(maxBodyBytes)]);
    if (known === 'limited') return tooMany();
    if (typeof known === 'string') return unauthorized();
    if (body === undefined) return plainText(413, 'Request Entity Too Large', { Connection: 'close' });
    if (!isUtf8(body)) return plainText(400, 'the message is not valid UTF-8');
    const read = publishing.read(Buffer.from(body).toString(), type);
    if (read.kind === 'invalid') return plainText(400, read.reason);
    if (!(await turn(address))) return tooMany();
    const entry = await ask();
    if ('status' in entry) return plainText(entry.status, entry.why);
    const who = entry.user === undefined ? known : { ...known, user: entry.user };
    return (await say(read.post, who)) ?? { status: read.post.accepted, headers: {}, body: '' };
  };
}
