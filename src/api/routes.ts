import type { Hub } from '../hub/hub.ts';
import { type MembersApi, memberRoutes } from './members.ts';
import type { AnyRoute } from './route.ts';
import { type UsersApi, userRoutes } from './users.ts';

/** What the routes of the API act on. */
export interface ServerApi extends MembersApi, UsersApi {
  readonly hub: Hub;
}

/** Returns the routes of the Server API. */
export function apiRoutes(api: ServerApi): readonly AnyRoute[] {
  return [...memberRoutes(api), ...userRoutes(api)];
}
