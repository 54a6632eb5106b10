import type { Hub } from '../hub/hub.ts';
import { publishRoutes } from './publish.ts';
import { roomRoutes } from './rooms.ts';
import type { AnyRoute } from './route.ts';
import { type WebhookControl, webhookRoutes } from './webhooks.ts';

/** What the routes of the API act on. */
export interface ServerApi {
  readonly hub: Hub;
  /** @default no webhooks are configured */
  readonly webhooks?: WebhookControl | undefined;
}

/** Returns the routes of the Server API. */
export function apiRoutes(api: ServerApi): readonly AnyRoute[] {
  return [...publishRoutes(api), ...roomRoutes(api), ...webhookRoutes(api)];
}
