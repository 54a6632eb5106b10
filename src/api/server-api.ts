import type { Hub } from '../hub/hub.ts';
import type { MembersApi } from './members.ts';
import type { UsersApi } from './users.ts';

/** What the routes of the API act on. */
export interface ServerApi extends MembersApi, UsersApi {
  readonly hub: Hub;
}
