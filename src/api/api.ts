import type { Keys } from '../auth/keys.ts';
import type { Hub } from '../hub/hub.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import { openapi } from './openapi.ts';
import { createRouter } from './router.ts';
import { apiRoutes, type ServerApi } from './routes.ts';

export interface ApiOptions extends ServerApi {
  readonly hub: Hub;
  readonly keys: Keys;
  readonly addressOf: (request: HttpRequest) => string;
  /** Counts a rejected key. @returns false when the address has sent too many. */
  readonly takeFailure: (address: string) => boolean;
  readonly draining: () => boolean;
  /** Reports a defect of a route. */
  readonly failed: (error: unknown) => void;
}

/** Returns the handler of the Server API, which returns undefined for paths outside of it. */
export function createApi(options: ApiOptions): (request: HttpRequest) => Promise<HttpResponse> | undefined {
  const { keys, ...rest } = options;
  return createRouter({
    ...rest,
    routes: apiRoutes(options),
    checkKey: (authorization) => keys.check(authorization),
    openapi,
  });
}
