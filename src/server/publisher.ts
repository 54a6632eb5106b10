import { randomUUID } from 'node:crypto';
import type { Authorizer } from '../client/authorizer.ts';
import type { Hub } from '../hub/hub.ts';
import type { Encoder, Notice, Pump, Subscriber } from '../hub/subscriber.ts';
import type { HttpPost } from '../wire/wire.ts';

/** What became of it: it is in the room's log, it could not be stored, the Hub takes no more for now, or it may not be said. */
export type Outcome = 'stored' | 'unavailable' | 'busy' | 'forbidden';

/**
 * Says what was posted without a connection, where whoever is asked before a client joins or sends allows it.
 *
 * @param from who says it. Resolves when it is decided on.
 */
export async function publish(hub: Hub, posted: HttpPost, from: string, permit: Authorizer = {}): Promise<Outcome> {
  const { room } = posted;
  const publication = new Receipt(from);
  const verdict = await (posted.kind === 'arrival'
    ? permit.join?.(publication, room)
    : permit.send?.(publication, posted));
  if (verdict?.kind === 'denied') return verdict.code;
  if (posted.kind === 'arrival') {
    const signal = { t: 'signal', room, from, data: { arrived: true } } as const;
    return hub.signal({ room, from, signal }) ? 'stored' : 'busy';
  }
  const { data, json, bytes } = posted;
  const { id } = publication;
  const taken = hub.broadcast({ room, from, sender: SENDER, id, data, json, bytes, by: publication });
  return taken ? publication.outcome : 'busy';
}

const SENDER = 'http';

/** Stands where a client stands, to be told what became of its one message. */
class Receipt implements Subscriber {
  readonly id = randomUUID();
  readonly user: string;
  readonly pump = deaf;
  readonly closed = false;
  readonly outcome: Promise<Outcome>;
  #resolve!: (outcome: Outcome) => void;

  constructor(user: string) {
    this.user = user;
    this.outcome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  notify(line: string): void {
    this.#resolve(line as Outcome);
  }

  joined(): void {}

  evict(): void {}
}

const outcomes: Encoder = {
  name: 'outcomes',
  merges: false,
  notices: new Set<Notice['t']>(['sent', 'error']),
  encodeNotice: ({ t }) => (t === 'sent' ? 'stored' : 'unavailable'),
  encode: () => {
    throw new Error('a publication is a member of no room');
  },
};

const deaf: Pump = { encoder: outcomes, writable: false, advance: ({ from }) => from, release() {} };
