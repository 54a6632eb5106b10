import { addressKey } from '../accept/connection-limits.ts';
import type { HookRunner } from '../accept/hooks.ts';
import type { WireSelector } from '../accept/select-wire.ts';
import type { Upgrader } from '../accept/upgrader.ts';
import { type Authenticator, credentialsOf, type Principal } from '../auth/authenticator.ts';
import { allows } from '../auth/grants.ts';
import type { Authorizer } from '../client/authorizer.ts';
import { KeyedBuckets } from '../client/rate-limit.ts';
import { createLogin } from '../http/login.ts';
import { createPublish } from '../http/publish.ts';
import { plainText } from '../http/responses.ts';
import { createRoutes, type RouteOptions } from '../http/routes.ts';
import type { Hub } from '../hub/hub.ts';
import type { Clock, Scheduler } from '../hub/time.ts';
import type { Rate } from '../protocol/v1.ts';
import type { Application, HttpRequest, HttpResponse } from '../transport/transport.ts';
import type { HttpPost } from '../wire/wire.ts';
import { publish } from './publisher.ts';

// Of one address so many posts wait for their turn; the next is refused.
const WAITING_POSTS = 64;

/** What one listener serves with. */
export interface ListenerOptions extends Pick<RouteOptions, 'web' | 'metrics' | 'draining' | 'origins'> {
  readonly hub: Hub;
  readonly gate: Upgrader;
  readonly dialects: WireSelector;
  readonly authority: Authenticator;
  /** Asks the program that runs the server who may come. */
  readonly hooked: HookRunner;
  /** Who is asked before someone joins or sends. */
  readonly permit: Authorizer | undefined;
  readonly addressOf: (request: HttpRequest) => string;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** How much may be posted from one address: of the wire's own rate where it is undefined, without an end where it is `off`. */
  readonly publishRate: Rate | 'off' | undefined;
  /** The rate of wires that have none of their own. */
  readonly usualRate: Rate;
}

/** What one listener answers: its page and routes, and handshakes in its dialects. */
export function createListener(options: ListenerOptions): Application {
  const { web, metrics, draining, origins, hub, gate, dialects, authority, hooked, permit, addressOf } = options;
  const { publishing, pinned } = dialects;
  const rate = options.publishRate ?? publishing.rate ?? options.usualRate;
  const handle = createRoutes({
    web,
    metrics,
    draining,
    origins,
    postOnly: publishing.postOnly,
    loginByGet: pinned?.ticketed === true,
    pageEverywhere: pinned?.page !== undefined,
    template: pinned?.page === 'template everywhere',
    noHandshake(request) {
      const wire = dialects.of(request);
      return wire && gate.noHandshake(request, wire);
    },
    publish: createPublish({
      publishing,
      addressOf,
      turn: rate === 'off' ? async () => true : turns(new KeyedBuckets(rate, options.clock), options.scheduler),
      identify: (request) => authority.identify(credentialsOf(request, addressOf(request))),
      hook: (request) => hooked.reads(request, addressOf(request)),
      async say(posted, known) {
        if (draining()) return plainText(503, 'draining');
        const from = known.user ?? nameOf(posted);
        return mayNot(posted, known) ?? refusalFor(await publish(hub, posted, from, permit));
      },
    }),
    asks: authority.asks,
    login: createLogin((...asked) => authority.signIn(...asked), addressOf),
  });
  return {
    handle,
    upgrade(request) {
      const wire = dialects.of(request);
      return wire ? unlessDraining(gate.enter(request, wire), draining) : plainText(404, 'Not found');
    },
  };
}

/** Lets each address send at its rate: who sends faster waits, and nobody else does. */
function turns(buckets: KeyedBuckets, scheduler: Scheduler) {
  return (address: string): Promise<boolean> => {
    const ms = buckets.of(addressKey(address)).reserve(WAITING_POSTS);
    if (ms === undefined || ms === 0) return Promise.resolve(ms === 0);
    return new Promise((resolve) => scheduler.after(ms, () => resolve(true)));
  };
}

function mayNot({ room }: HttpPost, { grants }: Principal): HttpResponse | undefined {
  return grants === undefined || allows(grants, 'send', room) ? undefined : plainText(403, 'not allowed');
}

function nameOf(posted: HttpPost): string {
  return posted.kind === 'arrival' ? posted.user : (posted.from ?? 'guest');
}

function refusalFor(outcome: Awaited<ReturnType<typeof publish>>): HttpResponse | undefined {
  if (outcome === 'stored') return undefined;
  if (outcome === 'forbidden') return plainText(403, 'not allowed');
  const why = outcome === 'busy' ? 'the hub is busy' : 'the message could not be stored';
  return plainText(503, why, { 'Retry-After': '1' });
}

/** A hook may take so long that the server is about to go. */
function unlessDraining(
  entered: ReturnType<Upgrader['enter']>,
  draining: () => boolean,
): ReturnType<Upgrader['enter']> {
  if (!(entered instanceof Promise)) return entered;
  return entered.then((known) => (draining() ? plainText(503, 'draining') : known));
}
