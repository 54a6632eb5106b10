import type { HttpResponse } from '../transport/transport.ts';
import { plainText } from './responses.ts';

/** The state that orchestrators and load balancers probe. */
export interface ServerState {
  /** Reports whether the server is shutting down. */
  readonly draining: () => boolean;
  /** Reports whether the engine reaches its store. */
  readonly ready: () => boolean;
}

/** Returns the response to a probe, or undefined for other paths. */
export function answerProbe(path: string, { draining, ready }: ServerState): HttpResponse | undefined {
  switch (path) {
    // An orchestrator restarts a server that fails this one. So it depends on nothing: a restart
    // would neither bring the store back nor hasten a shutdown.
    case '/livez':
      return ok();
    // A load balancer sends no new clients to a server that fails this one.
    case '/readyz':
      if (draining()) return shuttingDown();
      return ready() ? ok() : plainText(503, 'the engine is away');
    // Older than the other two, and unchanged for its users: the server accepts connections.
    case '/healthz':
      return draining() ? shuttingDown() : ok();
    default:
      return undefined;
  }
}

function ok(): HttpResponse {
  return plainText(200, 'ok');
}

function shuttingDown(): HttpResponse {
  return plainText(503, 'draining');
}
