import { memberRoutes } from './members.ts';
import { publishRoutes } from './publish.ts';
import { roomRoutes } from './rooms.ts';
import type { AnyRoute } from './route.ts';
import type { ServerApi } from './server-api.ts';
import { userRoutes } from './users.ts';
import { webhookRoutes } from './webhooks.ts';

/** Returns the routes of the Server API. */
export function apiRoutes(api: ServerApi): readonly AnyRoute[] {
  return [...publishRoutes(api), ...roomRoutes(api), ...memberRoutes(api), ...userRoutes(api), ...webhookRoutes(api)];
}
