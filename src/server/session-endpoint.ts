import type { Access } from '../accept/handshake-request.ts';
import type { HookRunner } from '../accept/hooks.ts';
import type { Upgrader } from '../accept/upgrader.ts';
import { createSession, SESSION_PATH, type SessionOptions } from '../api/session.ts';
import { type Sender, SessionCommands, type SessionRates } from '../api/session-commands.ts';
import type { ClientContext } from '../client/client.ts';
import { KeyedBuckets } from '../client/rate-limit.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import type { Wire } from '../wire/wire.ts';

// As for a connection: so many requests are allowed for each message.
const REQUESTS_PER_MESSAGE = 5;

interface EndpointOptions extends Pick<SessionOptions, 'addressOf' | 'origins' | 'draining'> {
  readonly access: Access;
  /** The wire of the native protocol. */
  readonly native: Wire;
  readonly upgrader: Upgrader;
  readonly hookRunner: HookRunner;
}

/** Returns the handler of `/api/v1/session`, which returns undefined for other paths. */
export function createSessionEndpoint(
  options: EndpointOptions,
): (request: HttpRequest) => Promise<HttpResponse> | undefined {
  const { access, native: wire, upgrader, hookRunner, addressOf, origins, draining } = options;
  const { hub, authorizer, lives } = access.context;
  const rates = ratesOf(access);
  const connectionOf = (session: string) => upgrader.connectionOf(session);
  const answer = createSession({
    commands: new SessionCommands({
      hub,
      wire,
      rates,
      authorizer,
      connectionOf,
      report:
        lives && ((session, report) => lives.reported(connectionOf(session.id) ?? { ...session, life: -1 }, report)),
    }),
    wire,
    rates,
    origins,
    authenticator: access.authenticator,
    sessions: access.sessions,
    isRevoked: (session) => upgrader.isRevoked(session),
    addressOf,
    prepareConnect: (request) => hookRunner.prepareConnect(request, addressOf(request)),
    draining,
  });
  return (request) => (request.path === SESSION_PATH ? answer(request) : undefined);
}

/** The rates of a connection, kept by session, and those that a user or an address shares. */
function ratesOf({ context }: Access): SessionRates {
  const { publishRate, clock, sharedLimits }: ClientContext = context;
  if (publishRate === 'off') return { takeMessage: () => true, takeRequest: () => true };
  const { perSecond, burst } = publishRate;
  const messages = new KeyedBuckets(publishRate, clock);
  const requests = new KeyedBuckets(
    { perSecond: perSecond * REQUESTS_PER_MESSAGE, burst: burst * REQUESTS_PER_MESSAGE },
    clock,
  );
  return {
    takeMessage: ({ session: { id, user }, address }: Sender) =>
      messages.take(id) && sharedLimits?.take({ user, address }) !== false,
    takeRequest: ({ session }: Sender) => requests.take(session.id),
  };
}
