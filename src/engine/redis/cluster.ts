import type {
  Answers,
  AttemptStore,
  Cluster,
  ClusterListener,
  PassedSignal,
  PresenceChange,
  ReadPlaces,
  RemoteMembers,
  RevocationStore,
  TicketStore,
} from '../../hub/cluster.ts';
import type { Json } from '../../protocol/v1.ts';
import { Claims, nodeChannel } from './claims.ts';
import { redisAttempts, redisReadPlaces, redisRevocations, redisTickets, sharedSecret } from './cluster-store.ts';
import type { Link } from './link.ts';
import { PRESENCE, PresenceBoard } from './presence-board.ts';
import { ANSWER, QUESTION, Questions } from './questions.ts';
import type { Shard } from './shard.ts';

/** The times of a node's lease, in milliseconds. */
export interface LeaseTimes {
  /** How long the other nodes believe in a node that does not renew its lease. @default 10,000 */
  readonly leaseMs: number;
  /** Time between renewals. The others' leases are looked at six times as often. @default 3,000 */
  readonly renewalMs: number;
}

export const DEFAULT_LEASE: LeaseTimes = { leaseMs: 10_000, renewalMs: 3_000 };

/** What the cluster needs of the engine. */
export interface ClusterEngine {
  /** Identifies this node: `RUN_LENGTH` characters. */
  readonly run: string;
  /** Has what is not of one room: leases, sessions, tickets, attempts. */
  readonly home: Shard;
  shardOf(room: string): Shard;
  publish(room: string, kind: string, payload: string): void;
  failed(error: Error): void;
}

/** Length of a node's `run`. */
export const RUN_LENGTH = 12;

const SIGNAL = 's';
const READ = 'u';
const LET_GO = 'l';
const HAS_LET_GO = 'a';
const CLAIM_POLL_MS = 250;
const LOOKS_PER_RENEWAL = 6;

/** The other nodes on the same Redis. */
export class RedisCluster implements Cluster {
  readonly tickets: TicketStore;
  readonly attempts: AttemptStore;
  readonly revocations: RevocationStore;
  readonly readPlaces: ReadPlaces;
  readonly #engine: ClusterEngine;
  readonly #times: LeaseTimes;
  readonly #presence: PresenceBoard;
  readonly #claims: Claims;
  readonly #questions: Questions;
  #listener: ClusterListener | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ticks = 0;
  #hasLease = false;
  /** When the others' leases count, by `performance.now()`. */
  #judgesFrom = 0;

  constructor(engine: ClusterEngine, times: LeaseTimes) {
    const { run, home } = engine;
    this.#engine = engine;
    this.#times = times;
    this.tickets = redisTickets(home);
    this.attempts = redisAttempts(home);
    this.revocations = redisRevocations(home);
    this.readPlaces = redisReadPlaces(home, (room, read) => engine.publish(room, READ, `${run}${read}`));
    this.#presence = new PresenceBoard({
      run,
      shardOf: (room) => engine.shardOf(room),
      publish: (room, kind, payload) => engine.publish(room, kind, payload),
      changed: (room, change) => this.#listener?.changed(room, change),
      failed: (error) => engine.failed(error),
    });
    this.#claims = new Claims({
      run,
      shard: home,
      letGo: (session) => this.#listener?.claimed(session),
      pollMs: CLAIM_POLL_MS,
    });
    this.#questions = new Questions({
      run,
      shard: home,
      leaseMs: times.leaseMs,
      asked: (question) => {
        if (!this.#listener) throw new Error('the node is starting');
        return this.#listener.asked(question);
      },
      failed: (error) => engine.failed(error),
    });
    home.listen({ connected: (link) => this.#connected(link), lost: (error) => this.#claims.lost(error) });
  }

  open(listener: ClusterListener): void {
    this.#listener = listener;
    const { renewalMs } = this.#times;
    this.#timer = setInterval(() => void this.#tick().catch(() => {}), renewalMs / LOOKS_PER_RENEWAL); // Redis is away
  }

  secret(created: Uint8Array): Promise<Uint8Array> {
    return sharedSecret(this.#engine.home, created);
  }

  signal(signal: PassedSignal): void {
    this.#engine.publish(signal.room, SIGNAL, `${this.#engine.run}${JSON.stringify(signal)}`);
  }

  announce(room: string, change: PresenceChange, count: number, users: readonly string[] | undefined): void {
    this.#presence.announce(room, change, count, users);
  }

  others(room: string): RemoteMembers {
    return this.#presence.others(room);
  }

  claim(session: string): Promise<void> {
    return this.#claims.claim(session);
  }

  disclaim(session: string): void {
    this.#claims.disclaim(session);
  }

  ask(question: Json): Promise<Answers> {
    return this.#questions.ask(question);
  }

  /** Leaves the other nodes. Call it before the engine's close. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#claims.close();
    await this.#presence.close();
    await this.#questions.close();
    const { home, run } = this.#engine;
    await home.command(['DEL', nodeChannel(run)]).catch(() => {}); // the lease ends by itself
  }

  /** A room is attached on a link. */
  follow(room: string, link: Link): Promise<void> {
    return this.#presence.follow(room, link);
  }

  /** Repairs what this node knows of the members of an attached room. */
  audit(room: string, link: Link): Promise<void> {
    return this.#presence.audit(room, link);
  }

  /** A room is released. */
  forget(room: string): void {
    this.#presence.forget(room);
  }

  /** A message of a room's channel other than records. It begins with its sender's `run`. */
  received(room: string, kind: string, payload: Buffer): void {
    const node = payload.toString('latin1', 0, RUN_LENGTH);
    if (node === this.#engine.run) return;
    if (kind === PRESENCE) this.#presence.received(room, node, payload.toString('utf8', RUN_LENGTH));
    else if (kind === SIGNAL) this.#signalled(room, payload.toString('utf8', RUN_LENGTH));
    else if (kind === READ) this.#hasRead(room, payload.toString('utf8', RUN_LENGTH));
  }

  #hasRead(room: string, text: string): void {
    try {
      const [user, epoch, seq] = JSON.parse(text) as unknown[];
      if (typeof user !== 'string' || typeof epoch !== 'string' || typeof seq !== 'number') {
        throw new Error('it lacks a user or a place');
      }
      this.#listener?.hasRead(user, room, { epoch, seq });
    } catch (cause) {
      this.#engine.failed(new Error(`room ${JSON.stringify(room)}: a read place is malformed`, { cause }));
    }
  }

  #signalled(room: string, text: string): void {
    try {
      const { from, data, session } = JSON.parse(text) as PassedSignal;
      if (typeof from !== 'string' || data === undefined) throw new Error('it lacks a sender or data');
      this.#listener?.signalled({ t: 'signal', room, from, data, ...(typeof session === 'string' && { session }) });
    } catch (cause) {
      this.#engine.failed(new Error(`room ${JSON.stringify(room)}: a signal is malformed`, { cause }));
    }
  }

  async #connected(link: Link): Promise<void> {
    await link.subscribe(nodeChannel(this.#engine.run), this.#onMessage);
    // Leases that ended while Redis was away are renewed within that time.
    if (this.#hasLease) {
      this.#judgesFrom = performance.now() + this.#times.leaseMs;
      this.#questions.reconnected();
    }
    await this.#renew();
    await this.#claims.check(link);
  }

  readonly #onMessage = (message: Buffer): void => {
    const text = message.toString('utf8', 1);
    const failed = (error: Error) => this.#engine.failed(error);
    switch (String.fromCharCode(message[0] ?? 0)) {
      case LET_GO:
        this.#claims.asked(text).catch(failed);
        break;
      case HAS_LET_GO:
        this.#claims.answered(text);
        break;
      case QUESTION:
        this.#questions.asked(text).catch(failed);
        break;
      case ANSWER:
        this.#questions.answered(text);
    }
  };

  async #tick(): Promise<void> {
    if (this.#ticks++ % LOOKS_PER_RENEWAL === 0) {
      await this.#renew();
      this.#claims.tick();
      this.#presence.retry();
    }
    await this.#dropDeadNodes();
  }

  /** Renews the lease. If it had ended, the others have removed this node's members. */
  async #renew(): Promise<void> {
    const { home, run } = this.#engine;
    const lease = ['SET', nodeChannel(run), '1', 'PX', String(this.#times.leaseMs), 'GET'];
    const before = await home.command(lease);
    if (before === null && this.#hasLease) this.#presence.announceAgain();
    this.#hasLease = true;
    await this.#questions.renew();
  }

  async #dropDeadNodes(): Promise<void> {
    const nodes = [...this.#presence.nodes()];
    if (nodes.length === 0 || performance.now() < this.#judgesFrom) return;
    const leases = (await this.#engine.home.command(['MGET', ...nodes.map(nodeChannel)])) as unknown[];
    for (const [i, node] of nodes.entries()) if (leases[i] === null) this.#presence.nodeLeft(node);
  }
}
