import type { Access } from '../accept/handshake-request.ts';
import { canaryAuthenticator, canaryKey } from '../auth/canary.ts';
import type { Sessions } from '../auth/sessions.ts';
import { Canary } from '../canary/canary.ts';
import type { ClientContext } from '../client/client.ts';
import { type Listener, listenersOf } from '../config/listeners.ts';
import type { Settings } from '../config/settings.ts';
import type { Logger } from '../observe/log.ts';
import { formatHost } from './attach.ts';

/** The sessions of canaries resume nowhere else, and no other ones resume as theirs. */
const SCOPE = 'canary';

/**
 * Returns what the clients of canaries may do: to use their one room, without limits. It does not
 * depend on the authentication of a listener, or on the hooks of a program.
 */
export function canaryAccess(
  secret: Uint8Array,
  sessions: Sessions,
  context: Pick<ClientContext, 'hub' | 'clock' | 'keepalive'>,
): Access {
  const { hub, clock, keepalive } = context;
  return {
    authenticator: canaryAuthenticator(canaryKey(secret), () => clock.date()),
    sessions: sessions.of(SCOPE),
    context: { hub, clock, keepalive, publishRate: 'off', isInternal: true },
  };
}

/**
 * Starts the canary of the settings; undefined where they have none.
 *
 * @param secret signs the sessions of all nodes.
 * @param port of the first listener; undefined where the program has it.
 */
export function startCanary(
  settings: Settings,
  secret: Uint8Array,
  port: number | undefined,
  log: Logger,
): Canary | undefined {
  const { canary: clients, canaryUrl } = settings;
  if (clients === 0) return undefined;
  const [listener] = listenersOf(settings) as [Listener];
  const certificate = canaryUrl === undefined && listener.tlsCert ? { path: listener.tlsCert } : undefined;
  const url = canaryUrl ?? localUrl(listener, port ?? listener.port);
  const canary = new Canary({ clients, url, port: port ?? listener.port, key: canaryKey(secret), certificate, log });
  canary.start();
  return canary;
}

/** Returns the URL at which a listener is reached from its own machine. */
function localUrl({ host, tlsCert }: Listener, port: number): string {
  const local = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http${tlsCert === undefined ? '' : 's'}://${formatHost(local)}:${port}`;
}
