import { addressKey } from '../accept/connection-limits.ts';
import type { Access } from '../accept/handshake-request.ts';
import type { HookRunner } from '../accept/hooks.ts';
import type { WireSelector } from '../accept/select-wire.ts';
import type { Upgrader } from '../accept/upgrader.ts';
import { credentialsOf } from '../auth/authenticator.ts';
import { isCanary } from '../auth/canary.ts';
import type { Buckets, RateLimit } from '../client/rate-limit.ts';
import { createAddress } from '../http/address.ts';
import { createLogin } from '../http/login.ts';
import { createPublish } from '../http/publish.ts';
import { createRoutes, type RouteOptions } from '../http/routes.ts';
import type { Scheduler } from '../hub/time.ts';
import type { Rate } from '../protocol/v1.ts';
import type { Application, HttpRequest } from '../transport/transport.ts';
import type { StreamWires } from '../wire/event-streams.ts';
import type { Wire } from '../wire/wire.ts';
import { createEventStreams } from './event-streams.ts';
import type { Publisher } from './publisher.ts';
import { createSessionEndpoint } from './session-endpoint.ts';

// Posts of one address that may wait for their turn. Further posts are rejected with 429.
const MAX_WAITING_POSTS = 64;

export interface ListenerOptions
  extends Pick<RouteOptions, 'web' | 'metrics' | 'draining' | 'ready' | 'origins' | 'api'> {
  readonly streamWires: StreamWires;
  readonly wires: WireSelector;
  /** The wire of the native protocol. */
  readonly native: Wire;
  readonly access: Access;
  /** Of the clients of canaries. @default there are none */
  readonly canaryAccess: Access | undefined;
  readonly upgrader: Upgrader;
  readonly publisher: Publisher;
  readonly hookRunner: HookRunner;
  /** Returns the client's address, which behind a proxy is not the connection's. */
  readonly addressOf: (request: HttpRequest) => string;
  /** Reports whether a connection from this address is a trusted proxy's. */
  readonly isTrustedProxy: (address: string) => boolean;
  readonly scheduler: Scheduler;
  /** Returns the token buckets of this listener's posts. */
  readonly postBuckets: (rate: Rate) => Buckets;
  /** Rate limit of each address's posts; undefined for that of the wire. */
  readonly publishRate: RateLimit | undefined;
  /** Takes a token for a post of an address to a room. Returns false when the room has none. */
  readonly takePost: (room: string, address: string) => boolean;
  /** The rate of wires without one. */
  readonly defaultRate: Rate;
}

/** Returns what one listener serves: its page, routes and streams, and its wires' handshakes. */
export function createListener(options: ListenerOptions): Application {
  const { wires, access, canaryAccess, upgrader, origins, streamWires, native } = options;
  const routes = createRoutes(routeOptions(options));
  const streams = createEventStreams({ upgrader, access, origins, wires: streamWires });
  const session = createSessionEndpoint(options);
  const address = createAddress(options);
  return {
    handle: (request) => streams(request) ?? session(request) ?? address(request) ?? routes(request),
    upgrade(request) {
      const wire = wires.select(request);
      if (!wire) return upgrader.rejectPath(request);
      const ofCanary = canaryAccess && wire === native && isCanary(request.header('authorization'));
      return upgrader.upgrade(request, wire, ofCanary ? canaryAccess : access);
    },
  };
}

function routeOptions(options: ListenerOptions): RouteOptions {
  const { web, metrics, draining, ready, origins, api, wires, access, upgrader, publisher, hookRunner, addressOf } =
    options;
  const { authenticator } = access;
  const { publishing, pinned } = wires;
  return {
    web,
    metrics,
    draining,
    ready,
    origins,
    api,
    requires: authenticator.requires,
    postOnly: publishing.postOnly,
    loginByGet: pinned?.ticketed === true,
    pageEverywhere: pinned?.page !== undefined,
    rejectPlain(request) {
      const wire = wires.select(request);
      return wire && upgrader.rejectPlain(request, wire, access);
    },
    login: createLogin(authenticator, addressOf),
    publish: createPublish({
      publishing,
      addressOf,
      waitForTurn: createTurns(options.publishRate ?? publishing.rate ?? options.defaultRate, options),
      takePost: options.takePost,
      authenticate: (request) => authenticator.authenticate(credentialsOf(request, addressOf(request))),
      prepareConnect: (request) => hookRunner.prepareConnect(request, addressOf(request)),
      publish: (post, principal) => publisher.publish(post, principal),
    }),
  };
}

/** Delays the posts of each address to its rate. Other addresses are unaffected. */
function createTurns(rate: RateLimit, { postBuckets, scheduler }: ListenerOptions) {
  if (rate === 'off') return async () => true;
  const buckets = postBuckets(rate);
  return (address: string): Promise<boolean> => {
    const ms = buckets.reserve(addressKey(address), MAX_WAITING_POSTS);
    if (ms === undefined || ms === 0) return Promise.resolve(ms === 0);
    return new Promise((resolve) => scheduler.after(ms, () => resolve(true)));
  };
}
