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
}

/** A wait for another node that has a session, which a claim with this fence has begun. */
interface Wait {
  readonly fence: string;
  readonly ended: Promise<void>;
  readonly end: () => void;
}

const EXPIRY_MS = 24 * 60 * 60_000;
const CHECKED_AT_ONCE = 500;

// A claim of each open session is renewed once in an hour, some at every tick.
const RENEWAL_TICKS = 1_200;

// The fence of a claim without a reply. Fences are compared as text: all have 13 digits.
const UNCONFIRMED = '0'.repeat(13);

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
 * claims it asks the one that has it to let go, and waits for that, or for the end of its lease. A
 * node that is asked while it waits itself answers when its own wait has ended.
 */
export class Claims {
  readonly #options: ClaimOptions;
  /** The fence of each session that this node has. */
  readonly #held = new Map<string, string>();
  /** Claims without a reply. */
  readonly #claiming = new Map<string, Promise<unknown>>();
  /** Rejects the claim of each session that waits for other nodes. */
  readonly #pending = new Map<string, (error: Error) => void>();
  readonly #waits = new Map<string, Set<Wait>>();
  /** Sessions that this node is letting go of. */
  readonly #leaving = new Map<string, Promise<void>>();
  #renewals: string[] = [];
  #renewedAtOnce = 0;

  constructor(options: ClaimOptions) {
    this.#options = options;
  }

  /** @throws Error when Redis cannot be reached, or yet another node takes the session over. */
  async claim(session: string): Promise<void> {
    if (!this.#held.has(session)) this.#held.set(session, UNCONFIRMED);
    const taking = this.#take(session);
    this.#claiming.set(session, taking);
    try {
      await taking;
    } finally {
      if (this.#claiming.get(session) === taking) this.#claiming.delete(session);
    }
    const waits = this.#waitsOf(session);
    if (waits.length === 0) return;
    await new Promise<void>((resolve, reject) => {
      this.#pending.get(session)?.(new Error('a later connection has taken the session over'));
      this.#pending.set(session, reject);
      void Promise.all(waits).then(() => {
        if (this.#pending.get(session) === reject) this.#pending.delete(session);
        resolve();
      });
    });
  }

  /** The session's connection has closed. */
  disclaim(session: string): void {
    const fence = this.#held.get(session);
    this.#held.delete(session);
    if (fence !== undefined && fence !== UNCONFIRMED) this.#giveUp(session, fence);
  }

  /** Another node takes a session over: `NODE FENCE SESSION`. */
  async asked(message: string): Promise<void> {
    const [node = '', fence = '', session = ''] = splitAt(message, 2);
    // The reply to a claim may have come just before, or show that the claim came later.
    for (let taking = this.#claiming.get(session); taking; taking = this.#claiming.get(session)) {
      await taking.catch(() => {});
      if (this.#claiming.get(session) === taking) this.#claiming.delete(session);
    }
    const held = this.#held.get(session);
    if (held !== undefined && held < fence) {
      this.#held.delete(session);
      this.#reject(session, new Error('another node has taken the session over'));
      await this.#letGo(session);
    }
    await this.#leaving.get(session);
    // Each wait is for a claim that came before, so that no two nodes wait for each other.
    await Promise.all(this.#waitsOf(session, fence));
    this.#options.shard.publish(nodeChannel(node), `a${fence} ${session}`);
  }

  /** Another node has let go: `FENCE SESSION`. */
  answered(message: string): void {
    const [fence = '', session = ''] = splitAt(message, 1);
    for (const wait of this.#waits.get(session) ?? []) if (wait.fence === fence) wait.end();
  }

  /** On a new link: lets go of the sessions that others have taken over meanwhile. */
  async check(link: Link): Promise<void> {
    const held = [...this.#held];
    for (let i = 0; i < held.length; i += CHECKED_AT_ONCE) {
      const part = held.slice(i, i + CHECKED_AT_ONCE);
      const owners = (await link.query(['MGET', ...part.map(([session]) => keyOf(session))])) as unknown[];
      await Promise.all(part.map(([session, fence], j) => this.#checkOne(link, session, fence, owners[j])));
    }
  }

  /** The link is lost: the claims that wait are rejected. What they wait for is still to come. */
  lost(error: Error): void {
    for (const session of [...this.#pending.keys()]) this.#reject(session, error);
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

  close(): void {
    for (const waits of this.#waits.values()) for (const wait of waits) wait.end();
  }

  async #take(session: string): Promise<void> {
    const { run, shard } = this.#options;
    const reply = await shard.command(['EVAL', claimScript, '1', keyOf(session), run, session, String(EXPIRY_MS)]);
    const [fence = '', node = '', heard] = (reply as unknown[]).map(String);
    const held = this.#held.get(session);
    if (held === undefined) {
      this.#giveUp(session, fence);
      throw new Error('the session was disclaimed');
    }
    if (fence > held) this.#held.set(session, fence);
    // A node that is not connected cannot store anything, and looks at its claims when it connects.
    if (node !== '' && heard !== '0') this.#waitFor(node, fence, session);
  }

  #giveUp(session: string, fence: string): void {
    const { run, shard } = this.#options;
    shard.command(['EVAL', disclaimScript, '1', keyOf(session), `${run} ${fence}`]).catch(() => {}); // it expires
  }

  #reject(session: string, error: Error): void {
    this.#pending.get(session)?.(error);
    this.#pending.delete(session);
  }

  /** Closes this node's connection of a session. */
  #letGo(session: string): Promise<void> {
    const leaving = Promise.resolve(this.#options.letGo(session)).finally(() => {
      if (this.#leaving.get(session) === leaving) this.#leaving.delete(session);
    });
    this.#leaving.set(session, leaving);
    return leaving;
  }

  async #checkOne(link: Link, session: string, fence: string, owner: unknown): Promise<void> {
    const { run } = this.#options;
    if (this.#held.get(session) !== fence || this.#claiming.has(session)) return;
    let isOwn = typeof owner === 'string' && owner.startsWith(`${run} `);
    if (isOwn) {
      // The reply to a claim may have been lost.
      const [, last = ''] = splitAt(String(owner), 1);
      if (last > fence) this.#held.set(session, last);
    } else if (owner === null) {
      // Redis has lost it, or never received it.
      const claim = ['SET', keyOf(session), `${run} ${fence}`, 'PX', String(EXPIRY_MS), 'NX'];
      isOwn = (await link.command(claim)) !== null;
    }
    if (isOwn || this.#held.get(session) !== fence) return;
    this.#held.delete(session);
    await this.#letGo(session);
  }

  /** Waits until a node has let go, its lease has ended, or it has lost its connection. */
  #waitFor(node: string, fence: string, session: string): void {
    const { run, shard, pollMs } = this.#options;
    const waits = this.#waits.get(session) ?? new Set();
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const look = async () => {
      const { link } = shard;
      if (!link) return;
      // The first request, or its answer, may have been lost with a connection.
      const request = `l${run} ${fence} ${session}`;
      const lease = link.command(['EXISTS', nodeChannel(node)]);
      const heard = link.command(['PUBLISH', nodeChannel(node), request]);
      if (Number(await lease) === 0 || Number(await heard) === 0) end();
    };
    const timer = setInterval(() => void look().catch(() => {}), pollMs); // fails when the link is lost
    const wait = { fence, ended, end };
    this.#waits.set(session, waits.add(wait));
    void ended.then(() => {
      clearInterval(timer);
      waits.delete(wait);
      if (waits.size === 0 && this.#waits.get(session) === waits) this.#waits.delete(session);
    });
  }

  /** @param before a fence: only the waits of earlier claims. @default all */
  #waitsOf(session: string, before?: string): Promise<void>[] {
    const waits = [...(this.#waits.get(session) ?? [])];
    return waits.filter(({ fence }) => before === undefined || fence < before).map(({ ended }) => ended);
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
