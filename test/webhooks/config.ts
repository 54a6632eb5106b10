import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { Keys } from '../../src/auth/keys.ts';
import { send } from '../api/http.ts';
import { SECRET } from './fixtures.ts';

/** A folder with a config file and a keys file for a server with webhooks. */
export interface WebhookConfig {
  readonly folder: string;
  /** The flags of `serve`. */
  readonly flags: readonly string[];
  /** A key with all scopes. */
  readonly key: string;
}

/** Writes the files. They are removed at the end of the test. */
export function writeConfig(settings: object): WebhookConfig {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-webhooks-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const [config, keys] = [join(folder, 'config.json'), join(folder, 'keys.json')];
  writeFileSync(config, JSON.stringify(settings));
  const key = new Keys(keys).add({ name: 'test', scopes: ['publish', 'read', 'admin'] });
  return { folder, key, flags: ['--config', config, '--keys', keys, '--data', join(folder, 'data')] };
}

/** A webhook to a receiver on this machine. */
export function webhookTo(url: string, settings: object = {}): object {
  return { name: 'audit', url, rooms: ['orders:*'], secret: SECRET, allowPrivate: true, ...settings };
}

/** Calls the API of a server. */
export async function callApi(
  url: string,
  key: string,
  path: string,
  body?: object,
): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> {
  const response = await send(`${url}/api/v1${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${key}`, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
  });
  return { status: response.status, body: JSON.parse(response.body) as Record<string, unknown> };
}

/** Publishes a message. Rejects unless it is stored. */
export async function publish(url: string, key: string, room: string, id: string): Promise<void> {
  const { status, body } = await callApi(url, key, '/publish', { room, id, data: { id } });
  if (status !== 200) throw new Error(`${status} ${JSON.stringify(body)}`);
}
