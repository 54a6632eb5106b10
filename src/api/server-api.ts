import type { Hub } from '../hub/hub.ts';
import type { MembersApi } from './members.ts';
import type { UsersApi } from './users.ts';
import type { WebhookControl } from './webhooks.ts';

/** What the routes of the API act on. */
export interface ServerApi extends MembersApi, UsersApi {
  readonly hub: Hub;
  /** @default no webhooks are configured */
  readonly webhooks?: WebhookControl | undefined;
}
