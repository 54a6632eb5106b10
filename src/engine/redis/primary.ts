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
   * The primary's name among the sentinels: the URLs are sentinels then, of one primary.
   *
   * @default the URLs are primaries
   */
  readonly sentinel?: string;
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

/**
 * Asks the sentinels, the last one that answered first. User, password, database and TLS of a
 * sentinel's URL are the primary's, too.
 *
 * @param name the primary's name among the sentinels.
 */
function sentinelPrimary(urls: readonly string[], name: string): FindPrimary {
  let order = [...urls];
  return async () => {
    let cause: unknown;
    for (const url of order) {
      try {
        const [host, port] = await addressOf(url, name);
        order = [url, ...order.filter((other) => other !== url)];
        return at(url, host, port);
      } catch (error) {
        cause = error;
      }
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`no sentinel knows the primary ${JSON.stringify(name)}: ${reason}`);
  };
}

/** Asks one sentinel where the primary is. */
export async function addressOf(url: string, name: string): Promise<[host: string, port: string]> {
  const command = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name];
  const reply = await askOnce(sentinelUrl(url), command, SENTINEL_TIMEOUT_MS).catch((error: unknown) => {
    // Many sentinels have no password while their primary has one.
    const plain = withoutCredentials(url);
    if (plain === sentinelUrl(url) || !/WRONGPASS|AUTH/.test(String(error))) throw error;
    return askOnce(plain, command, SENTINEL_TIMEOUT_MS);
  });
  if (!Array.isArray(reply)) throw new Error(`the sentinel watches no primary ${JSON.stringify(name)}`);
  return [String(reply[0]), String(reply[1])];
}

/** Sentinels have no databases. */
function sentinelUrl(url: string): string {
  const parsed = new URL(url);
  parsed.pathname = '';
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
