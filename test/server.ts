import { type Server, startServer as start } from '../bench/server.ts';

export type { Server } from '../bench/server.ts';

/** Starts the built server: tests start many, and it is there in half the time. */
export function startServer(flags: readonly string[] = [], port?: number): Promise<Server> {
  return start(flags, port, ['dist/cli.js']);
}
