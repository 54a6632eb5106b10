import type { Scheduler } from '../hub/time.ts';
import type { Place } from '../protocol/v1.ts';
import type { Cursor, CursorListener, CursorPage, CursorStore, StoredCursor, WebhookState } from './cursor.ts';

/** The connection to the server that has what is not of one room. */
export interface SharedServer {
  /** Identifies this process until it ends. */
  readonly run: string;
  /** The number of the database. Keys are in it, but channels are shared by all databases. */
  readonly database: number;
  /** Runs a command. Rejects while the server cannot be reached. */
  command(args: readonly string[]): Promise<unknown>;
  /** Runs a command whose reply may be long. */
  query(args: readonly string[]): Promise<unknown>;
  publish(channel: string, message: string): void;
  /** Receives the messages of a channel, also after a lost connection. Called before the start. */
  subscribe(channel: string, listener: (message: Buffer) => void): void;
}

export interface SharedCursorsOptions {
  readonly webhooks: readonly string[];
  readonly server: SharedServer;
  readonly scheduler: Scheduler;
  /** Milliseconds from any start. */
  readonly now: () => number;
  /**
   * How long a process that has ended still counts as the one that delivers, in milliseconds.
   *
   * @default 5,000
   */
  readonly leaseMs?: number;
  /** @default 15,000 */
  readonly auditMs?: number;
}

/** What the processes publish to each other. */
type Message =
  | { readonly kind: 'marked'; readonly rooms: readonly string[] }
  | { readonly kind: 'replayed'; readonly webhook: string; readonly room?: string | undefined };

/** A webhook, and this process's lease on it. */
interface Lease {
  readonly webhook: string;
  /** When the lease ends, by `now`. Undefined while another process has it. */
  until: number | undefined;
  /** The state that waits to be written. */
  state: WebhookState | undefined;
}

const DEFAULT_LEASE_MS = 5_000;
const RENEWALS_PER_LEASE = 4;
// The owner of a lease stops to send a part of it before Redis can give it to another process.
const OWNED_PART = 0.9;
const DEFAULT_AUDIT_MS = 15_000;

// Marks are collected for this long, then published in one message.
const MARK_MS = 20;
const PAGE = '500';

const REPLAYS = 'replays';
const STATE = 'state';

// Takes or renews a lease. KEYS: lease, state. ARGV: owner, milliseconds. Returns 2 when it was
// renewed, also after its end if nobody else has had it since, 1 when it is taken, and 0 when
// another one has it.
const leaseScript = `#!lua
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
local last = redis.call('HGET', KEYS[2], 'owner')
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if last ~= ARGV[1] then redis.call('HSET', KEYS[2], 'owner', ARGV[1]) end
return last == ARGV[1] and 2 or 1
`;

// Gives a lease up. KEYS: lease. ARGV: owner.
const leaveScript = `#!lua
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
`;

// Replaces a cursor. KEYS: lease, cursors. ARGV: owner, room, version, cursor. Returns 0 when the
// lease is another's, or the version is another one.
const saveScript = `#!lua
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local version = string.match(redis.call('HGET', KEYS[2], ARGV[2]) or '', '^%d+')
if version and version ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. ' ' .. ARGV[4])
return 1
`;

// Removes a cursor. KEYS: lease, cursors. ARGV: owner, room, version.
const removeScript = `#!lua
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local version = string.match(redis.call('HGET', KEYS[2], ARGV[2]) or '', '^%d+')
if version == ARGV[3] then redis.call('HDEL', KEYS[2], ARGV[2]) end
return 0
`;

// Moves a cursor. KEYS: cursors. ARGV: room, cursor.
const replayScript = `#!lua
local version = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^%d+')
version = string.format('%.0f', (tonumber(version) or 0) + 1)
redis.call('HSET', KEYS[1], ARGV[1], version .. ' ' .. ARGV[2])
return 0
`;

/**
 * The cursors that several processes share on Redis or Valkey. One of them at a time delivers a
 * webhook: it has a lease, and every write checks that it still has it.
 */
export class SharedCursors implements CursorStore {
  readonly forgets = false;
  readonly auditMs: number;
  readonly #server: SharedServer;
  readonly #scheduler: Scheduler;
  readonly #now: () => number;
  readonly #leaseMs: number;
  readonly #leases: ReadonlyMap<string, Lease>;
  readonly #channel: string;
  readonly #marked = new Set<string>();
  #listener!: CursorListener;
  #isOpen = false;
  #renewing: Promise<unknown> = Promise.resolve();
  #cancelRenewal: (() => void) | undefined;

  constructor({ webhooks, server, scheduler, now, leaseMs, auditMs }: SharedCursorsOptions) {
    this.#server = server;
    this.#scheduler = scheduler;
    this.#now = now;
    this.#leaseMs = leaseMs ?? DEFAULT_LEASE_MS;
    this.auditMs = auditMs ?? DEFAULT_AUDIT_MS;
    this.#leases = new Map(webhooks.map((webhook) => [webhook, { webhook, until: undefined, state: undefined }]));
    this.#channel = `ph:w${server.database}`;
    server.subscribe(this.#channel, (message) => this.#received(message));
  }

  async open(listener: CursorListener): Promise<void> {
    this.#listener = listener;
    this.#isOpen = true;
    await this.#renewAll();
  }

  async create(webhook: string, room: string, cursor: Cursor): Promise<void> {
    await this.#server.command(['HSETNX', cursorsKey(webhook), room, encode({ ...cursor, version: 0 })]);
  }

  async find(webhook: string, room: string): Promise<StoredCursor | undefined> {
    const text = await this.#server.command(['HGET', cursorsKey(webhook), room]);
    return text === null ? undefined : decode(String(text));
  }

  async *pages(webhook: string): AsyncIterable<CursorPage> {
    let next = '0';
    do {
      const reply = await this.#server.query(['HSCAN', cursorsKey(webhook), next, 'COUNT', PAGE]);
      const [cursor, found] = reply as [unknown, unknown[]];
      next = String(cursor);
      const page: [string, StoredCursor][] = [];
      for (let i = 0; i + 1 < found.length; i += 2) page.push([String(found[i]), decode(String(found[i + 1]))]);
      yield page;
    } while (next !== '0');
  }

  async save(webhook: string, room: string, cursor: StoredCursor): Promise<boolean> {
    const [version, text] = split(encode(cursor));
    const keys = [leaseKey(webhook), cursorsKey(webhook)];
    const args = ['EVAL', saveScript, '2', ...keys, this.#server.run, room, version, text];
    return Number(await this.#server.command(args)) === 1;
  }

  async remove(webhook: string, room: string, version: number): Promise<void> {
    const keys = [leaseKey(webhook), cursorsKey(webhook)];
    await this.#server.command(['EVAL', removeScript, '2', ...keys, this.#server.run, room, String(version)]);
  }

  async replay(webhook: string, places: ReadonlyMap<string, Place>): Promise<void> {
    for (const [room, { epoch, seq }] of places) {
      const [, text] = split(encode({ epoch, seq, version: 0 }));
      await this.#server.command(['EVAL', replayScript, '1', cursorsKey(webhook), room, text]);
    }
    await this.#server.command(['HINCRBY', stateKey(webhook), REPLAYS, '1']);
    const [room] = places.keys();
    this.#publish({ kind: 'replayed', webhook, ...(places.size === 1 && { room }) });
  }

  async replays(webhook: string): Promise<number> {
    return Number((await this.#server.command(['HGET', stateKey(webhook), REPLAYS])) ?? 0);
  }

  mark(room: string): void {
    this.#marked.add(room);
    if (this.#marked.size === 1) this.#scheduler.after(MARK_MS, () => this.#publishMarks());
  }

  owns(webhook: string): boolean {
    const { until } = this.#leases.get(webhook) as Lease;
    return until !== undefined && this.#now() < until;
  }

  saveState(webhook: string, state: WebhookState): void {
    const lease = this.#leases.get(webhook) as Lease;
    const isWaiting = lease.state !== undefined;
    lease.state = state;
    if (!isWaiting) this.#scheduler.after(MARK_MS, () => this.#writeState(lease));
  }

  async state(webhook: string): Promise<WebhookState> {
    const text = await this.#server.command(['HGET', stateKey(webhook), STATE]);
    return text === null ? {} : (JSON.parse(String(text)) as WebhookState);
  }

  async close(): Promise<void> {
    this.#isOpen = false;
    this.#cancelRenewal?.();
    await this.#renewing;
    this.#publishMarks();
    for (const lease of this.#leases.values()) {
      if (lease.until === undefined) continue;
      this.#writeState(lease);
      lease.until = undefined;
      const args = ['EVAL', leaveScript, '1', leaseKey(lease.webhook), this.#server.run];
      await this.#server.command(args).catch(() => {}); // the lease ends by itself
    }
  }

  /** Takes the leases that no process has, and renews those of this process. */
  async #renewAll(): Promise<void> {
    this.#renewing = Promise.all([...this.#leases.values()].map((lease) => this.#renew(lease)));
    await this.#renewing;
    if (!this.#isOpen) return;
    const ms = this.#leaseMs / RENEWALS_PER_LEASE;
    this.#cancelRenewal = this.#scheduler.after(ms, () => void this.#renewAll());
  }

  async #renew(lease: Lease): Promise<void> {
    const { webhook } = lease;
    const before = this.#now();
    const keys = [leaseKey(webhook), stateKey(webhook)];
    const args = ['EVAL', leaseScript, '2', ...keys, this.#server.run, String(this.#leaseMs)];
    let outcome: number;
    try {
      outcome = Number(await this.#server.command(args));
    } catch {
      return; // Redis is away: `owns` ends with the lease
    }
    const had = lease.until !== undefined;
    // A lease that had ended may have been another's meanwhile, which moved the cursors.
    if (had && outcome < 2) {
      lease.until = undefined;
      this.#listener.lost(webhook);
    }
    if (outcome === 0) return;
    const isNew = lease.until === undefined;
    lease.until = before + this.#leaseMs * OWNED_PART;
    if (isNew) this.#listener.acquired(webhook);
  }

  #publishMarks(): void {
    if (this.#marked.size === 0) return;
    this.#publish({ kind: 'marked', rooms: [...this.#marked] });
    this.#marked.clear();
  }

  #publish(message: Message): void {
    this.#server.publish(this.#channel, JSON.stringify(message));
  }

  #received(text: Buffer): void {
    if (!this.#isOpen) return;
    let message: Message;
    try {
      message = JSON.parse(text.toString()) as Message;
    } catch (cause) {
      this.#listener.failed(new Error('a message about webhooks is malformed', { cause }));
      return;
    }
    if (message.kind === 'marked') this.#listener.marked(message.rooms);
    else if (this.#leases.has(message.webhook)) this.#listener.replayed(message.webhook, message.room);
  }

  #writeState(lease: Lease): void {
    const { webhook, state } = lease;
    lease.state = undefined;
    if (state === undefined || !this.owns(webhook)) return;
    const args = ['HSET', stateKey(webhook), STATE, JSON.stringify(state)];
    this.#server.command(args).catch(() => {}); // the next one tells it
  }
}

// The braces keep the keys of a webhook in one hash slot.
function cursorsKey(webhook: string): string {
  return `ph:w:{${webhook}}:cursors`;
}

function leaseKey(webhook: string): string {
  return `ph:w:{${webhook}}:lease`;
}

function stateKey(webhook: string): string {
  return `ph:w:{${webhook}}:state`;
}

/** The version, a space, and the rest as JSON. */
function encode({ version, epoch, seq, batch, heads }: StoredCursor): string {
  return `${version} ${JSON.stringify([epoch, seq, batch ?? null, ...(heads ? [heads] : [])])}`;
}

function decode(text: string): StoredCursor {
  const [version, json] = split(text);
  const [epoch, seq, batch, heads] = JSON.parse(json) as [string, number, Cursor['batch'] | null, Cursor['heads']];
  return { version: Number(version), epoch, seq, ...(batch && { batch }), ...(heads && { heads }) };
}

function split(text: string): [version: string, json: string] {
  const space = text.indexOf(' ');
  return [text.slice(0, space), text.slice(space + 1)];
}
