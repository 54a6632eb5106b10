import { createClient, ErrorReply } from '@redis/client';

/** The servers of the engine. With a `sentinel` the URLs are those of its sentinels. */
export interface RedisServers {
  readonly urls: readonly string[];
  /** Name of the master. */
  readonly sentinel?: string | undefined;
}

/** One line of a check: a setting that is right, or a warning of what it costs. */
export interface Finding {
  readonly kind: 'ok' | 'warning';
  readonly text: string;
}

const TIMEOUT_MS = 5_000;
const OLDEST_MAJOR_VERSION = 7;

/**
 * Connects to the servers and reports how they keep messages. Its lines name a server by host and
 * port, never a user or a password.
 *
 * @throws Error with one line if a server cannot be reached or used.
 */
export async function inspect({ urls, sentinel }: RedisServers): Promise<readonly Finding[]> {
  if (sentinel !== undefined) return inspectMaster(urls, sentinel);
  return (await Promise.all(urls.map((url) => inspectServer(url)))).flat();
}

/** The fields of Redis's INFO by name. */
type Info = ReadonlyMap<string, string>;

type Client = ReturnType<typeof newClient>;

async function inspectServer(url: string): Promise<readonly Finding[]> {
  const address = addressOf(url);
  const info = await using(url, async (client) => parseInfo(await client.info()));
  checkUsable(address, info);
  return [...describe(info)].map(({ kind, text }) => ({ kind, text: `${address}: ${text}` }));
}

/** @throws Error if the engine cannot use the server. */
function checkUsable(address: string, info: Info): void {
  const version = info.get('redis_version') ?? '0';
  if (Number.parseInt(version, 10) < OLDEST_MAJOR_VERSION) {
    throw new Error(`${address} has version ${version}; version ${OLDEST_MAJOR_VERSION} or newer is needed`);
  }
  if (info.get('redis_mode') === 'sentinel') {
    throw new Error(`${address} is a sentinel; set redisSentinel to the name of its master`);
  }
  if (info.get('redis_mode') === 'cluster') {
    throw new Error(`${address} is a node of a Redis Cluster; use servers that are not, one URL for each`);
  }
  if (info.get('role') !== 'master') {
    throw new Error(`${address} is a replica; use its primary, or its sentinels with redisSentinel`);
  }
}

function* describe(info: Info): Iterable<Finding> {
  const valkey = info.get('valkey_version');
  const name = valkey === undefined ? `Redis ${info.get('redis_version')}` : `Valkey ${valkey}`;
  yield { kind: 'ok', text: `${name}, primary` };
  yield memoryPolicy(info);
  yield persistence(info);
  yield replication(info);
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
    return {
      kind: 'warning',
      text: 'appendonly no loses messages, or every room, when the server restarts; set appendonly yes',
    };
  }
  if (info.get('aof_last_write_status') === 'ok') return { kind: 'ok', text: 'appendonly yes' };
  return { kind: 'warning', text: 'appendonly yes, but the last write failed; check the disk of the server' };
}

function replication(info: Info): Finding {
  const count = Number(info.get('connected_slaves'));
  const replicas = count === 1 ? '1 replica' : `${count} replicas`;
  // Redis reports this field only where both settings are above 0.
  const acknowledged = info.get('min_slaves_good_slaves');
  if (acknowledged !== undefined) {
    if (Number(acknowledged) > 0) return { kind: 'ok', text: `${replicas}, min-replicas-to-write is set` };
    return { kind: 'warning', text: 'no replica follows, as min-replicas-to-write demands: the server stores nothing' };
  }
  if (count === 0) return { kind: 'ok', text: 'no replicas: a lost disk loses every room' };
  return {
    kind: 'warning',
    text: `${replicas}: a failover or a partition may lose messages without a bound; set min-replicas-to-write 1`,
  };
}

async function inspectMaster(urls: readonly string[], name: string): Promise<readonly Finding[]> {
  const answers = await Promise.allSettled(urls.map((url) => masterBy(url, name)));
  const masters = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  const failures = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as Error] : []));
  const [address] = masters;
  if (address === undefined) throw failures[0];
  const known: Finding = {
    kind: 'ok',
    text: `${masters.length} of ${urls.length} sentinels answer: ${name} is at ${address}`,
  };
  const silent = failures.map(({ message }): Finding => ({ kind: 'warning', text: message }));
  const server = new URL(urls[0] as string);
  server.host = address;
  return [known, ...silent, ...(await inspectServer(server.href))];
}

/** Returns the host and port of a master by one of its sentinels. */
async function masterBy(url: string, name: string): Promise<string> {
  const sentinel = new URL(url);
  sentinel.pathname = ''; // sentinels have no databases
  const ask = () => using(sentinel.href, (client) => client.sendCommand(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name]));
  const reply = await ask().catch((error: Error) => {
    // Many sentinels have no user and no password while their master has both.
    if (sentinel.password === '' || !(error.cause instanceof ErrorReply)) throw error;
    [sentinel.username, sentinel.password] = ['', ''];
    return ask();
  });
  if (!Array.isArray(reply)) throw new Error(`${addressOf(url)} watches no master "${name}"`);
  const [host, port] = reply.map(String) as [string, string];
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

async function using<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = newClient(url);
  client.on('error', () => {}); // connect rejects with it
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${TIMEOUT_MS / 1000} seconds`)), TIMEOUT_MS);
  });
  const answer = async () => {
    await client.connect();
    return work(client);
  };
  try {
    return await Promise.race([answer(), timeout]);
  } catch (error) {
    throw new Error(`${addressOf(url)} ${problemOf(error as NodeJS.ErrnoException)}`, { cause: error });
  } finally {
    clearTimeout(timer);
    client.destroy();
  }
}

function newClient(url: string) {
  return createClient({ url, RESP: 3, socket: { connectTimeout: TIMEOUT_MS, reconnectStrategy: false } });
}

/** Says why a server cannot be used. Redis's own replies contain no password. */
function problemOf(error: NodeJS.ErrnoException): string {
  if (!(error instanceof ErrorReply)) return `cannot be reached: ${error.code ?? error.message}`;
  return error.message.startsWith('NOAUTH') ? 'requires a password' : `rejects the connection: ${error.message}`;
}

function addressOf(url: string): string {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port || '6379'}`;
}

function parseInfo(text: string): Info {
  const lines = text.split('\r\n').filter((line) => line.includes(':'));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
}
