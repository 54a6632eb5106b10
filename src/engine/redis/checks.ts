import { askOnce, reasonOf } from './link.ts';
import { primariesOf, type Servers, withoutCredentials } from './primary.ts';

const MIN_VERSION = 7;
const TIMEOUT_MS = 5_000;

/**
 * Connects to each primary and checks it.
 *
 * @returns a line for each setting that will lose messages.
 * @throws Error with one line when a server cannot be reached or used.
 */
export async function checkServers(servers: Servers): Promise<readonly string[]> {
  const warnings: string[] = [];
  for (const find of primariesOf(servers)) {
    const url = await find();
    const name = withoutCredentials(url);
    try {
      const info = String(await askOnce(url, ['INFO', 'everything'], TIMEOUT_MS));
      for (const warning of checkInfo(fieldsOf(info))) warnings.push(`${name}: ${warning}`);
    } catch (error) {
      throw new Error(`${name}: ${explain(error)}`, { cause: error });
    }
  }
  return warnings;
}

/** @throws Error */
function checkInfo(info: ReadonlyMap<string, string>): readonly string[] {
  const version = info.get('valkey_version') ?? info.get('redis_version') ?? '';
  const name = info.has('valkey_version') ? 'Valkey' : 'Redis';
  if (Number.parseInt(version, 10) < MIN_VERSION) {
    throw new Error(`${name} ${version} is too old: use ${MIN_VERSION} or newer`);
  }
  if (info.get('cluster_enabled') === '1') {
    throw new Error(`${name} runs in cluster mode, which is not supported: name several primaries instead`);
  }
  if (info.get('role') !== 'master') throw new Error('the server is a replica, not the primary');
  const warnings: string[] = [];
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  if (policy !== 'noeviction') {
    warnings.push(`maxmemory-policy is ${policy}: rooms are deleted when memory is full. Set it to noeviction.`);
  }
  if (info.get('aof_enabled') === '0') {
    warnings.push('appendonly is off: a restart loses the messages since the last snapshot. Set it to yes.');
  }
  if (Number(info.get('connected_slaves')) > 0 && !info.has('min_slaves_good_slaves')) {
    warnings.push(
      'min-replicas-to-write is 0: an isolated primary accepts messages that a failover loses. Set it to 1.',
    );
  }
  return warnings;
}

/** A server before version 6 does not know the first command of a connection. */
function explain(error: unknown): string {
  const reason = reasonOf(error);
  return /unknown command .?hello/i.test(reason) ? `the server is too old: use ${MIN_VERSION} or newer` : reason;
}

function fieldsOf(info: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of info.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}
