import { type Logger, pino } from 'pino';
import { settingsOf } from '../config/load.ts';
import type { Settings } from '../config/settings.ts';
import type { Engine } from '../hub/engine.ts';
import { type Extras, type Server, serve } from './serve.ts';

/** What a server can be told: as `pumphouse serve` can, and what only a program can bring. */
export interface ServerOptions extends Partial<Omit<Settings, 'engine' | 'logLevel'>>, Omit<Extras, 'engine'> {
  /** `memory` unless given: the rooms end with the process. `lmdb` keeps them in the folder `data`. */
  readonly engine?: Settings['engine'] | Engine;
  /** A pino logger; silent unless given. */
  readonly log?: Logger;
}

/**
 * Starts a server in this program: all that `pumphouse serve` is, on `http://localhost:8080` unless told otherwise.
 *
 * @throws ConfigError for an option that cannot be used; what Node throws when it cannot listen, with its `code`.
 * @example
 * const server = await createServer({
 *   port: 9000,
 *   hooks: { connect: async ({ headers }) => ({ user: await nameOf(headers.cookie) }), join: ({ user }, room) => room !== 'staff' || isStaff(user) },
 * });
 * await server.stop();
 */
export async function createServer(options: ServerOptions = {}): Promise<Server> {
  const { engine = 'memory', hooks, hookTimeout, log = pino({ level: 'silent' }), ...given } = options;
  const own = typeof engine === 'object';
  const settings = settingsOf({ ...given, engine: own ? 'memory' : engine });
  return serve(settings, log, {
    ...(own && { engine }),
    ...(hooks && { hooks }),
    ...(hookTimeout !== undefined && { hookTimeout }),
  });
}
