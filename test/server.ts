import { type Server, startServer as start } from '../bench/server.ts';

export type { Server } from '../bench/server.ts';

/** What Node runs for the built command. */
export const built: readonly string[] = ['dist/cli.js'];

/** Starts the built server: tests start many, and it is there in half the time. */
export function startServer(flags: readonly string[] = [], port?: number): Promise<Server> {
  return start(flags, port, built);
}
