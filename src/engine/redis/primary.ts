import { askOnce } from './link.ts';

/** Finds the URL of the primary of the moment. */
export type FindPrimary = () => Promise<string>;

const SENTINEL_TIMEOUT_MS = 1_000;

/** Where the servers are. */
export interface Servers {
  /**
   * `redis://` or `rediss://` URLs, with user, password and database if needed. Several are shards:
   * a room lives on one of them. Every node must name the same, in the same order.
   */
  readonly url: string | readonly string[];
  /**
   * The primary's name among the sentinels: the URLs are sentinels then, of one primary. User and
   * password of the URLs are the primary's. Sentinels with others of their own need them before the
   * name: `:password@name` or `user:password@name`.
   *
   * @default the URLs are primaries
   */
  readonly sentinel?: string;
}

/** The primary's name among the sentinels, and their own credentials if they differ from its. */
interface Sentinel {
  readonly name: string;
  readonly user?: string;
  readonly password?: string;
}

/** Returns the finder of each shard's primary. */
export function primariesOf({ url, sentinel }: Servers): readonly FindPrimary[] {
  const urls = typeof url === 'string' ? [url] : url;
  return sentinel === undefined ? urls.map((fixed) => async () => fixed) : [sentinelPrimary(urls, sentinel)];
}

/** Returns the number of the database that a valid URL names. */
export function databaseOf(url: string): number {
  return Number(new URL(url).pathname.slice(1));
}

/** Parses `name`, `:password@name` or `user:password@name`. */
export function parseSentinel(text: string): Sentinel {
  const [, user = '', password, name = text] = /^([^:]*):(.*)@([^@]+)$/s.exec(text) ?? [];
  return password === undefined ? { name } : { name, user, password };
}

/** Asks the sentinels, the last one that answered first. Their URLs name TLS and the database. */
function sentinelPrimary(urls: readonly string[], text: string): FindPrimary {
  const sentinel = parseSentinel(text);
  let order = [...urls];
  return async () => {
    let cause: unknown;
    for (const url of order) {
      try {
        const [host, port] = await addressOf(url, sentinel);
        order = [url, ...order.filter((other) => other !== url)];
        return at(url, host, port);
      } catch (error) {
        cause = error;
      }
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`no sentinel knows the primary ${JSON.stringify(sentinel.name)}: ${reason}`);
  };
}

/** Asks one sentinel where the primary is. */
export async function addressOf(url: string, sentinel: Sentinel): Promise<[host: string, port: string]> {
  const { name, password } = sentinel;
  const command = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name];
  const own = sentinelUrl(url, sentinel);
  const reply = await askOnce(own, command, SENTINEL_TIMEOUT_MS).catch((error: unknown) => {
    // Many sentinels have no password while their primary has one.
    const plain = withoutCredentials(url);
    if (password !== undefined || plain === own || !/WRONGPASS|AUTH/.test(String(error))) throw error;
    return askOnce(plain, command, SENTINEL_TIMEOUT_MS);
  });
  if (!Array.isArray(reply)) throw new Error(`the sentinel watches no primary ${JSON.stringify(name)}`);
  return [String(reply[0]), String(reply[1])];
}

/** Sentinels have no databases. */
function sentinelUrl(url: string, { user = '', password }: Sentinel): string {
  const parsed = new URL(url);
  parsed.pathname = '';
  if (password !== undefined) [parsed.username, parsed.password] = [user, password];
  return parsed.href;
}

/** Returns a URL as it may be logged. */
export function withoutCredentials(url: string): string {
  if (!URL.canParse(url)) return url;
  const parsed = new URL(url);
  parsed.username = '';
  parsed.password = '';
  parsed.pathname = '';
  return parsed.href;
}

/** Returns a sentinel's URL with the primary's address in it. */
export function at(url: string, host: string, port: string): string {
  const parsed = new URL(url);
  parsed.hostname = host.includes(':') ? `[${host}]` : host;
  parsed.port = port;
  return parsed.href;
}
