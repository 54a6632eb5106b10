type Run = (args: readonly string[]) => Promise<unknown>;

const MIN_VERSION = 7;

/**
 * Checks a Redis or Valkey server.
 *
 * @param run runs a command on it.
 * @returns a line for each setting that will lose messages.
 * @throws Error with one line when the server cannot be used.
 */
export async function checkServer(run: Run): Promise<readonly string[]> {
  const info = fieldsOf(String(await run(['INFO', 'everything'])));
  const version = info.get('valkey_version') ?? info.get('redis_version') ?? '';
  const name = info.has('valkey_version') ? 'Valkey' : 'Redis';
  if (Number.parseInt(version, 10) < MIN_VERSION) {
    throw new Error(`${name} ${version} is too old: use ${MIN_VERSION} or newer`);
  }
  if (info.get('cluster_enabled') === '1') {
    throw new Error(`${name} runs in cluster mode, which is not supported: name several primaries instead`);
  }
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

function fieldsOf(info: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of info.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}
