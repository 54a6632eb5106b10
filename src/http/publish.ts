import { isUtf8 } from 'node:buffer';
import type { Authentication, Principal } from '../auth/authenticator.ts';
import type { NowOrLater } from '../protocol/now-or-later.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import type { HttpPost, Publishing } from '../wire/wire.ts';
import { authenticationFailed, bodyTooLarge, plainText, tooManyRequests } from './responses.ts';

export const PUBLISH_PATH = '/publish';

/** The result of the connect hook. `user`, if set, replaces the name that the client asks for. */
export type Admission =
  | { readonly kind: 'admitted'; readonly user?: string }
  | { readonly kind: 'rejected'; readonly status: 403 | 503; readonly reason: string };

export interface PublishOptions {
  /** How the wire's clients publish. */
  readonly publishing: Publishing;
  readonly addressOf: (request: HttpRequest) => string;
  /**
   * Waits until this address may publish.
   *
   * @returns false when too many posts of it wait already.
   */
  readonly waitForTurn: (address: string) => Promise<boolean>;
  /** Takes a token for a post of an address to a room. Returns false when the room has none. */
  readonly takePost: (room: string, address: string) => boolean;
  /** Authenticates a request, which it reads before it returns. */
  readonly authenticate: (request: HttpRequest) => NowOrLater<Authentication>;
  /** Reads a request for the connect hook. @returns a function that calls the hook. */
  readonly prepareConnect: (request: HttpRequest) => () => NowOrLater<Admission>;
  /** Publishes a post. @returns the rejection, or undefined once the message is in the log. */
  readonly publish: (post: HttpPost, principal: Principal) => Promise<HttpResponse | undefined>;
}

/**
 * Returns the handler of a POST to `/publish`. It answers once the message is in its room's log, or
 * with the reason why it was rejected.
 */
export function createPublish(options: PublishOptions) {
  const { publishing, addressOf, waitForTurn, takePost, authenticate, prepareConnect, publish } = options;
  const { maxBodyBytes } = publishing;
  return async (request: HttpRequest): Promise<HttpResponse> => {
    // The request is valid only until the first await.
    const address = addressOf(request);
    const type = request.header('content-type');
    const connect = prepareConnect(request);
    const [authentication, body] = await Promise.all([authenticate(request), request.body(maxBodyBytes)]);
    if (authentication.kind !== 'authenticated') return authenticationFailed(authentication);
    if (body === undefined) return bodyTooLarge();
    if (!isUtf8(body)) return plainText(400, 'the message is not valid UTF-8');
    const read = publishing.read(Buffer.from(body).toString(), type);
    if (read.kind === 'invalid') return plainText(400, read.reason);
    if (!(await waitForTurn(address)) || !takePost(read.post.room, address)) return tooManyRequests();
    const admission = await connect();
    if (admission.kind === 'rejected') return plainText(admission.status, admission.reason);
    const { user } = admission;
    const { principal } = authentication;
    const rejection = await publish(read.post, user === undefined ? principal : { ...principal, user });
    return rejection ?? { status: read.post.accepted, headers: {}, body: '' };
  };
}
