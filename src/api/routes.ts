import type { Hub } from '../hub/hub.ts';
import { publishRoutes } from './publish.ts';
import { roomRoutes } from './rooms.ts';
import type { AnyRoute } from './route.ts';

/** What the routes of the API act on. */
export interface ServerApi {
  readonly hub: Hub;
}

/** Returns the routes of the Server API. */
export function apiRoutes(api: ServerApi): readonly AnyRoute[] {
  return [...publishRoutes(api), ...roomRoutes(api)];
}
