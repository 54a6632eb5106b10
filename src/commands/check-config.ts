import { ConfigError } from '../config/error.ts';
import type { Loaded } from '../config/load.ts';
import { withoutCredentials } from '../config/redis-url.ts';
import type { Settings } from '../config/settings.ts';
import { inspect } from '../engine/redis/inspect.ts';
import { loadHooks } from '../server/hooks-file.ts';

/**
 * `pumphouse check-config`: prints each setting and its source. With the engine `redis` it connects
 * to the servers and prints how they keep messages. It loads the hooks file, which runs its code.
 *
 * @throws ConfigError if a server cannot be reached or used, or the hooks file cannot be used.
 */
export async function checkConfig({ settings, origins, warnings }: Loaded): Promise<void> {
  for (const [name, value] of Object.entries(settings)) {
    console.log(`${name.padEnd(12)} ${printable(name, value)}  (${origins[name]})`);
  }
  warnings.forEach(warn);
  if (settings.engine === 'redis') await checkRedis(settings);
  if (settings.hooks === undefined) return;
  const hooks = await loadHooks(settings.hooks);
  console.log(`${settings.hooks}: ${Object.keys(hooks).join(', ')}`);
}

async function checkRedis({ redis, redisSentinel }: Settings): Promise<void> {
  const findings = await inspect({ urls: redis, sentinel: redisSentinel }).catch((error: Error) => {
    throw new ConfigError(error.message);
  });
  for (const { kind, text } of findings) {
    if (kind === 'warning') warn(text);
    else console.log(text);
  }
}

function warn(text: string): void {
  process.stderr.write(`pumphouse: warning: ${text}\n`);
}

/** The value as JSON, secrets hidden, also those of listeners. */
function printable(name: string, value: unknown): string {
  if (name === 'jwtSecret' && value !== undefined) return '(set)';
  if (name === 'redis') return JSON.stringify((value as Settings['redis']).map(withoutCredentials));
  if (name === 'redisSentinel' && value !== undefined) return JSON.stringify(String(value).replace(/^.*@/s, '(set)@'));
  return JSON.stringify(value, (key, inner) => (key === 'jwtSecret' || key === 'secret' ? '(set)' : inner)) ?? '-';
}
