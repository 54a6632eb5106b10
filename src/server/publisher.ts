import { randomUUID } from 'node:crypto';
import type { Principal } from '../auth/authenticator.ts';
import { allows } from '../auth/grants.ts';
import type { Authorizer } from '../client/authorizer.ts';
import { plainText } from '../http/responses.ts';
import type { Hub } from '../hub/hub.ts';
import type { Encoder, Notice, Pump, Subscriber } from '../hub/subscriber.ts';
import { isReservedRoom } from '../protocol/reserved-rooms.ts';
import type { HttpResponse } from '../transport/transport.ts';
import type { HttpPost } from '../wire/wire.ts';

/** The result of a post: it is in the room's log (`stored`), or the reason of its rejection. */
type Outcome = 'stored' | 'draining' | 'forbidden' | 'busy' | 'unavailable';

/** The sender of all posts. Each has a unique id, so none counts as a retry of another. */
const SENDER = 'http';

/** Publisher publishes HTTP posts to the Hub. */
export class Publisher {
  readonly #hub: Hub;
  readonly #authorizer: Authorizer | undefined;
  readonly #draining: () => boolean;

  /** @param draining reports whether the server is shutting down. */
  constructor(hub: Hub, authorizer: Authorizer | undefined, draining: () => boolean) {
    this.#hub = hub;
    this.#authorizer = authorizer;
    this.#draining = draining;
  }

  /** Publishes a post. @returns the rejection, or undefined once the message is in the log. */
  async publish(post: HttpPost, { user, grants }: Principal): Promise<HttpResponse | undefined> {
    return rejectionOf(await this.#publish(post, user ?? nameIn(post), grants));
  }

  async #publish(post: HttpPost, from: string, grants: Principal['grants']): Promise<Outcome> {
    const { room } = post;
    if (this.#draining()) return 'draining';
    if (isReservedRoom(room) || (grants !== undefined && !allows(grants, 'send', room))) return 'forbidden';
    const receipt = new Receipt(from);
    const decision = await (post.kind === 'arrival'
      ? this.#authorizer?.join?.(receipt, room)
      : this.#authorizer?.send?.(receipt, post));
    if (decision?.kind === 'denied') return decision.code;
    if (post.kind === 'arrival') {
      const signal = { t: 'signal', room, from, data: { arrived: true } } as const;
      return this.#hub.signal({ room, from, signal }) ? 'stored' : 'busy';
    }
    const { data, json, bytes } = post;
    const { id } = receipt;
    const posted = this.#hub.broadcast({ room, from, sender: SENDER, id, data, json, bytes, by: receipt });
    return posted ? receipt.outcome : 'busy';
  }
}

/** The name that a post without an authenticated user asks for. */
function nameIn(post: HttpPost): string {
  return post.kind === 'arrival' ? post.user : (post.from ?? 'guest');
}

function rejectionOf(outcome: Outcome): HttpResponse | undefined {
  const retry = { 'Retry-After': '1' };
  switch (outcome) {
    case 'stored':
      return undefined;
    case 'draining':
      return plainText(503, 'draining');
    case 'forbidden':
      return plainText(403, 'not allowed');
    case 'busy':
      return plainText(503, 'the hub is busy', retry);
    case 'unavailable':
      return plainText(503, 'the message could not be stored', retry);
  }
}

/** Receipt is the subscriber that the Hub acknowledges a post to. It joins no room. */
class Receipt implements Subscriber {
  readonly id = randomUUID();
  readonly user: string;
  readonly pump = receiptPump;
  readonly closed = false;
  readonly outcome: Promise<Outcome>;
  #resolve!: (outcome: Outcome) => void;

  constructor(user: string) {
    this.user = user;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** @param line a notice as `receiptEncoder` encodes it. */
  notify(line: string): void {
    this.#resolve(line as Outcome);
  }

  joined(): void {}

  evict(): void {}

  end(): void {}
}

/** Encodes the Hub's acknowledgement or error as an outcome. */
const receiptEncoder: Encoder = {
  name: 'outcomes',
  merges: false,
  notices: new Set<Notice['t']>(['sent', 'error']),
  encodeNotice: ({ t }) => (t === 'sent' ? 'stored' : 'unavailable') satisfies Outcome,
  encode: () => {
    throw new Error('a receipt is not a member of any room');
  },
};

const receiptPump: Pump = { encoder: receiptEncoder, writable: false, advance: ({ from }) => from, release() {} };
