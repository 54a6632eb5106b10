import type { Hub } from '../hub/hub.ts';
import type { AnyRoute } from './route.ts';

/** What the routes of the API act on. */
export interface ServerApi {
  readonly hub: Hub;
}

/** Returns the routes of the Server API. */
export function apiRoutes(_api: ServerApi): readonly AnyRoute[] {
  return [];
}
