import { askOnce, subscribeOnce } from './link.ts';

/** Finds the primary of a shard. */
export interface PrimaryFinder {
  /** Returns the URL of the primary of the moment. */
  find(): Promise<string>;
  /** Calls `onSwitch` when another server has become the primary, unless the call is lost. */
  watch?(onSwitch: () => void): void;
  close?(): void;
}

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
export function primariesOf({ url, sentinel }: Servers): readonly PrimaryFinder[] {
  const urls = typeof url === 'string' ? [url] : url;
  if (sentinel !== undefined) return [new SentinelFinder(urls, parseSentinel(sentinel))];
  return urls.map((fixed) => ({ find: async () => fixed }));
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

/**
 * Asks the sentinels, the last one that answered first, and is subscribed to one of them. The URLs
 * name TLS and the database of the primary.
 */
class SentinelFinder implements PrimaryFinder {
  readonly #sentinel: Sentinel;
  #order: readonly string[];
  #onSwitch: (() => void) | undefined;
  #isSubscribed = false;
  #unsubscribe = () => {};

  constructor(urls: readonly string[], sentinel: Sentinel) {
    this.#order = urls;
    this.#sentinel = sentinel;
  }

  async find(): Promise<string> {
    let cause: unknown;
    for (const url of this.#order) {
      try {
        const [host, port] = await addressOf(url, this.#sentinel);
        this.#prefer(url);
        void this.#subscribe(url);
        return at(url, host, port);
      } catch (error) {
        cause = error;
      }
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`no sentinel knows the primary ${JSON.stringify(this.#sentinel.name)}: ${reason}`);
  }

  watch(onSwitch: () => void): void {
    this.#onSwitch = onSwitch;
  }

  close(): void {
    this.#onSwitch = undefined;
    this.#unsubscribe();
  }

  #prefer(url: string): void {
    this.#order = [url, ...this.#order.filter((other) => other !== url)];
  }

  /** Subscribes to a sentinel that has just answered, unless it is subscribed already. */
  async #subscribe(url: string): Promise<void> {
    if (this.#isSubscribed || !this.#onSwitch) return;
    this.#isSubscribed = true;
    const ended = () => {
      this.#isSubscribed = false;
    };
    const listener = (message: string) => {
      if (!message.startsWith(`${this.#sentinel.name} `)) return;
      this.#prefer(url); // the others may not know yet
      this.#onSwitch?.();
    };
    try {
      const subscribe = (own: string) => subscribeOnce(own, '+switch-master', listener, ended);
      this.#unsubscribe = await withCredentials(url, this.#sentinel, subscribe);
      if (!this.#onSwitch) this.#unsubscribe();
    } catch {
      ended(); // tried again when the sentinels are asked next
    }
  }
}

/** Asks one sentinel where the primary is. */
export async function addressOf(url: string, sentinel: Sentinel): Promise<[host: string, port: string]> {
  const command = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', sentinel.name];
  const ask = (own: string) => askOnce(own, command, SENTINEL_TIMEOUT_MS);
  const reply = await withCredentials(url, sentinel, ask);
  if (!Array.isArray(reply)) throw new Error(`the sentinel watches no primary ${JSON.stringify(sentinel.name)}`);
  return [String(reply[0]), String(reply[1])];
}

/** Connects to a sentinel with its own credentials, or else with those of the primary, or none. */
async function withCredentials<T>(url: string, sentinel: Sentinel, connect: (url: string) => Promise<T>): Promise<T> {
  const own = sentinelUrl(url, sentinel);
  try {
    return await connect(own);
  } catch (error) {
    // Many sentinels have no password while their primary has one.
    const plain = withoutCredentials(url);
    if (sentinel.password !== undefined || plain === own || !/WRONGPASS|AUTH/.test(String(error))) throw error;
    return connect(plain);
  }
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
