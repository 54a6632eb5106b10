import type { Settings } from '../config/settings.ts';
import type { Engine } from '../hub/engine.ts';
import type { Logger } from '../observe/log.ts';
import type { Webhooks } from '../webhooks/webhooks.ts';

/**
 * Returns the webhooks of the settings; undefined where they have none. Their code, and that of the
 * engines whose cursors they share, is loaded only where there are some.
 *
 * @param engine stores the rooms.
 * @param used the same engine, as the Hub or the log of the worker threads would use it.
 */
export async function openWebhooks(
  settings: Settings,
  engine: Engine,
  used: Engine,
  log: Logger,
): Promise<Webhooks | undefined> {
  if (settings.webhooks.length === 0) return undefined;
  const { createWebhooks } = await import('./webhooks.ts');
  return createWebhooks(settings, engine, used, log);
}
