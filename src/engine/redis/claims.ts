import type { Link } from './link.ts';
import type { Shard } from './shard.ts';

/** The node's side of a claim. */
export interface ClaimOptions {
  /** Identifies this node. */
  readonly run: string;
  readonly shard: Shard;
  /** Closes this node's connection of a session. */
  readonly letGo: (session: string) => void | Promise<void>;
  /** Milliseconds between looks at another node's lease. */
  readonly pollMs: number;
  readonly onError: (error: Error) => void;
}

/** What Redis answers to a claim. */
interface Claim {
  readonly fence: string;
  /** The node that had the session; empty for none. */
  readonly node: string;
  /** How many connections of that node were asked to let go. */
  readonly heard: number;
}

/** A claim that waits for another node. */
interface Pending {
  readonly fence: string;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const EXPIRY_MS = 24 * 60 * 60_000;
const CHECKED_AT_ONCE = 500;

// A claim of each open session is renewed once in an hour, some at every tick.
const RENEWAL_TICKS = 1_200;

// Takes a session. KEYS: its key. ARGV: this node, the session, expiry in milliseconds. Asks the
// node that had it to let go. Returns the fence, that node or an empty string, and how many
// connections heard it. A fence is a time, so that it grows even after the key has expired.
const claimScript = `#!lua
local clock = redis.call('TIME')
local node, fence = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (%d+)$')
fence = string.format('%.0f', math.max(clock[1] * 1000 + math.floor(clock[2] / 1000), (tonumber(fence) or 0) + 1))
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. fence, 'PX', ARGV[3])
local heard = 0
if node and node ~= ARGV[1] then
  heard = redis.call('PUBLISH', 'ph:n:' .. node, 'l' .. ARGV[1] .. ' ' .. fence .. ' ' .. ARGV[2])
else
  node = ''
end
return { fence, node, heard }
`;

// Gives a session up, unless another node has it by now.
const disclaimScript = `#!lua
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
`;

/** The channel of a node, which also names the key of its lease. */
export function nodeChannel(run: string): string {
  return `ph:n:${run}`;
}

/**
 * The sessions of this node's connections. A session has one connection on all nodes: a node that
 * claims it asks the one that has it to let go, and waits for that, or for the end of its lease.
 */
export class Claims {
  readonly #options: ClaimOptions;
  /** The fence of each session that this node has; empty until Redis has given it. */
  readonly #held = new Map<string, string>();
  /** Claims whose fence Redis has not given yet. */
  readonly #claiming = new Map<string, Promise<Claim>>();
  readonly #pending = new Map<string, Pending>();
  #renewals: string[] = [];
  #renewedAtOnce = 0;

  constructor(options: ClaimOptions) {
    this.#options = options;
  }

  /** @throws Error when Redis cannot be reached, or yet another node takes the session over. */
  async claim(session: string): Promise<void> {
    if (!this.#held.has(session)) this.#held.set(session, ''); // claimed again on the next link if this fails
    const claiming = this.#take(session);
    this.#claiming.set(session, claiming);
    const { fence, node, heard } = await claiming.finally(() => {
      if (this.#claiming.get(session) === claiming) this.#claiming.delete(session);
    });
    // A node that is not connected cannot store anything, and looks at its claims when it connects.
    if (node === '' || heard === 0) return;
    await this.#released(session, fence, node);
  }

  /** The session's connection has closed. */
  disclaim(session: string): void {
    const fence = this.#held.get(session);
    this.#held.delete(session);
    if (!fence) return;
    const { run, shard } = this.#options;
    shard.command(['EVAL', disclaimScript, '1', keyOf(session), `${run} ${fence}`]).catch(() => {}); // it expires
  }

  /** Another node takes a session over: `NODE FENCE SESSION`. */
  async asked(message: string): Promise<void> {
    const [node = '', fence = '', session = ''] = splitAt(message, 2);
    await this.#claiming.get(session)?.catch(() => {}); // this node's own claim may be the later one
    const held = this.#held.get(session);
    if (held !== undefined && held < fence) {
      this.#held.delete(session);
      this.#pending.get(session)?.reject(new Error('another node has taken the session over'));
      await this.#options.letGo(session);
    }
    this.#options.shard.publish(nodeChannel(node), `a${fence} ${session}`);
  }

  /** Another node has let go: `FENCE SESSION`. */
  answered(message: string): void {
    const [fence = '', session = ''] = splitAt(message, 1);
    const pending = this.#pending.get(session);
    if (pending?.fence === fence) pending.resolve();
  }

  /** On a new link: lets go of the sessions that others have taken over meanwhile. */
  async check(link: Link): Promise<void> {
    const held = [...this.#held];
    for (let i = 0; i < held.length; i += CHECKED_AT_ONCE) {
      const part = held.slice(i, i + CHECKED_AT_ONCE);
      const owners = (await link.query(['MGET', ...part.map(([session]) => keyOf(session))])) as unknown[];
      for (const [j, [session, fence]] of part.entries()) await this.#checkOne(link, session, fence, owners[j]);
    }
  }

  /** The link is lost: no answer will come. */
  lost(error: Error): void {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }

  /** Renews some claims. */
  tick(): void {
    if (this.#renewals.length === 0) {
      this.#renewals = [...this.#held.keys()];
      this.#renewedAtOnce = Math.ceil(this.#renewals.length / RENEWAL_TICKS);
    }
    const { link } = this.#options.shard;
    if (!link) return;
    for (const session of this.#renewals.splice(0, this.#renewedAtOnce)) {
      if (this.#held.has(session)) link.command(['PEXPIRE', keyOf(session), String(EXPIRY_MS)]).catch(() => {});
    }
  }

  async #take(session: string): Promise<Claim> {
    const { run, shard } = this.#options;
    const reply = await shard.command(['EVAL', claimScript, '1', keyOf(session), run, session, String(EXPIRY_MS)]);
    const [fence = '', node = '', heard] = (reply as unknown[]).map(String);
    const held = this.#held.get(session);
    if (held !== undefined && fence > held) this.#held.set(session, fence); // both have 13 digits
    return { fence, node, heard: Number(heard) };
  }

  async #checkOne(link: Link, session: string, fence: string, owner: unknown): Promise<void> {
    if (this.#held.get(session) !== fence) return;
    const claim = `${this.#options.run} ${fence}`;
    if (fence === '' && (owner === null || String(owner).startsWith(`${this.#options.run} `))) {
      await this.claim(session);
    } else if (owner === null) {
      // Redis has lost it.
      await link.command(['SET', keyOf(session), claim, 'PX', String(EXPIRY_MS), 'NX']);
    } else if (owner !== claim) {
      this.#held.delete(session);
      await this.#options.letGo(session);
    }
  }

  async #released(session: string, fence: string, node: string): Promise<void> {
    const { shard, pollMs, onError } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#pending.get(session)?.reject(new Error('a later connection has taken the session over'));
        this.#pending.set(session, { fence, resolve, reject });
        const look = async () => {
          if (Number(await shard.command(['EXISTS', nodeChannel(node)])) === 0) resolve();
        };
        timer = setInterval(() => void look().catch(onError), pollMs);
      });
    } finally {
      clearInterval(timer);
      if (this.#pending.get(session)?.fence === fence) this.#pending.delete(session);
    }
  }
}

function keyOf(session: string): string {
  return `ph:s:${session}`;
}

/** Splits at the first `count` spaces. */
function splitAt(text: string, count: number): string[] {
  const parts: string[] = [];
  let rest = text;
  for (let i = 0; i < count; i++) {
    const space = rest.indexOf(' ');
    if (space < 0) break;
    parts.push(rest.slice(0, space));
    rest = rest.slice(space + 1);
  }
  return [...parts, rest];
}
