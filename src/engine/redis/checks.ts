type Run = (args: readonly string[]) => Promise<unknown>;

/** One line of a check: a setting that is right, or a warning of what it costs. */
export interface Finding {
  readonly kind: 'ok' | 'warning';
  readonly text: string;
}

/** The fields of Redis's INFO by name. */
type Info = ReadonlyMap<string, string>;

const MIN_VERSION = 7;

/**
 * Describes how a Redis or Valkey server keeps messages.
 *
 * @param run runs a command on it.
 * @throws Error with one line when the server cannot be used.
 */
export async function describeServer(run: Run): Promise<readonly Finding[]> {
  const info = parseInfo(String(await run(['INFO'])));
  checkUsable(info);
  const name: Finding = { kind: 'ok', text: `${nameOf(info)}, primary` };
  return [name, memoryPolicy(info), persistence(info), replication(info)];
}

function checkUsable(info: Info): void {
  // Valkey 8 has renamed the field.
  const mode = info.get('server_mode') ?? info.get('redis_mode');
  if (mode === 'sentinel') {
    throw new Error('the server is a sentinel; set redisSentinel to the name of its primary');
  }
  if (mode === 'cluster') {
    throw new Error('Redis Cluster is not supported; use several servers that are not in a cluster');
  }
  // Valkey has a number of its own, and the one of the Redis that it is compatible with.
  if (!(Number.parseInt(info.get('redis_version') ?? '', 10) >= MIN_VERSION)) {
    throw new Error(`${nameOf(info)} is too old; use version ${MIN_VERSION} or newer`);
  }
  if (info.get('role') !== 'master') {
    throw new Error('the server is a replica; use its primary, or its sentinels with redisSentinel');
  }
}

function nameOf(info: Info): string {
  const valkey = info.get('valkey_version');
  return valkey === undefined ? `Redis ${info.get('redis_version')}` : `Valkey ${valkey}`;
}

function memoryPolicy(info: Info): Finding {
  const policy = info.get('maxmemory_policy');
  if (policy === 'noeviction') return { kind: 'ok', text: 'maxmemory-policy noeviction' };
  return {
    kind: 'warning',
    text: `maxmemory-policy ${policy} deletes rooms when the memory is full; set maxmemory-policy noeviction`,
  };
}

function persistence(info: Info): Finding {
  if (info.get('aof_enabled') !== '1') {
    return { kind: 'warning', text: 'appendonly no loses messages when the server restarts; set appendonly yes' };
  }
  if (info.get('aof_last_write_status') === 'ok') return { kind: 'ok', text: 'appendonly yes' };
  return { kind: 'warning', text: 'appendonly yes, but the last write failed; check the disk of the server' };
}

function replication(info: Info): Finding {
  const count = Number(info.get('connected_slaves'));
  const replicas = count === 1 ? '1 replica' : `${count} replicas`;
  // Reported only where min-replicas-to-write and min-replicas-max-lag are both above 0.
  const current = info.get('min_slaves_good_slaves');
  if (current !== undefined && Number(current) > 0) {
    return { kind: 'ok', text: `${replicas}, min-replicas-to-write is set` };
  }
  if (current !== undefined) {
    return { kind: 'warning', text: 'no replica follows, as min-replicas-to-write demands: no message can be stored' };
  }
  if (count === 0) return { kind: 'ok', text: 'no replicas: a lost disk loses every room' };
  return {
    kind: 'warning',
    text: `${replicas}: an isolated primary takes messages that a failover loses; set min-replicas-to-write 1`,
  };
}

function parseInfo(text: string): Info {
  const lines = text.split('\r\n').filter((line) => line.includes(':'));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
}
