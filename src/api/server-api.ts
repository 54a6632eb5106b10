import type { Hub } from '../hub/hub.ts';

/** What the routes of the API act on. */
export interface ServerApi {
  readonly hub: Hub;
}
