import type { Cluster } from '../hub/cluster.ts';
import type { NowOrLater } from '../protocol/now-or-later.ts';

/** The part of a cluster that decides which node holds a session. */
export type ClaimCluster = Pick<Cluster, 'claim' | 'disclaim'>;

/**
 * Asks a worker to let go of a session that it has claimed, up to a claim. Resolves to false if the
 * worker has claimed it once more, and keeps it.
 */
export type LetGo = (worker: number, session: string, claim: number) => Promise<boolean>;

/** A worker's claim of a session. */
interface Claim {
  readonly worker: number;
  readonly number: number;
  /** Rejects the claim while the worker waits for it. */
  reject: ((error: Error) => void) | undefined;
  /** The cluster could not claim the session: it will do so later. */
  failed: boolean;
}

/** A worker lets go of a session. */
interface Leaving {
  readonly worker: number;
  readonly ended: Promise<void>;
}

/** A session that a worker has or lets go of. */
interface HeldSession {
  readonly name: string;
  /** The last claim, which takes the session from all earlier ones. */
  holder: Claim | undefined;
  leaving: readonly Leaving[];
  /** Whether the cluster has the session claimed for this process. */
  owned: boolean;
}

/**
 * The sessions of all workers. A session has one connection in all workers and nodes: the last
 * claim takes it, and waits until the other workers have let go and the cluster has taken it from
 * the other nodes. Every claim is repeated in the cluster, which so orders it among those of other
 * nodes. The messages of a worker are in order, so a claim that a worker has made before it answers
 * a request to let go is known here by then.
 */
export class ProcessClaims {
  readonly #cluster: ClaimCluster;
  readonly #letGo: LetGo;
  readonly #sessions = new Map<string, HeldSession>();

  constructor(cluster: ClaimCluster, letGo: LetGo) {
    this.#cluster = cluster;
    this.#letGo = letGo;
  }

  /** @param number of the claim, above those of the worker's earlier ones. */
  claim(worker: number, name: string, number: number): NowOrLater<void> {
    const session = this.#sessions.get(name) ?? this.#create(name);
    const before = session.holder;
    const claim: Claim = { worker, number, reject: undefined, failed: false };
    session.holder = claim;
    session.owned = true;
    if (before?.worker === worker) before.reject?.(new Error('a later connection has taken the session over'));
    else if (before) this.#takeFrom(session, before, new Error('another worker has taken the session over'));
    const claimed = this.#cluster.claim(name);
    // A worker ends its own older connection when it opens the new one.
    const waits = session.leaving.filter((leaving) => leaving.worker !== worker).map(({ ended }) => ended);
    if (waits.length === 0 && !(claimed instanceof Promise)) return undefined;
    return new Promise((resolve, reject) => {
      claim.reject = reject;
      const claimedHere = Promise.resolve(claimed).catch((error: Error) => {
        claim.failed = true;
        throw error;
      });
      Promise.all([claimedHere, ...waits])
        .finally(() => {
          claim.reject = undefined;
        })
        .then(() => resolve(), reject);
    });
  }

  /** The worker has no connection and no handshake of a session. */
  disclaim(worker: number, name: string): void {
    const session = this.#sessions.get(name);
    if (session?.holder?.worker !== worker) return; // another worker or node has taken it over
    session.holder.reject?.(new Error('the session was disclaimed'));
    session.holder = undefined;
    this.#tidy(session);
  }

  /** A worker has no session any more. */
  left(worker: number): void {
    for (const { name, holder } of [...this.#sessions.values()])
      if (holder?.worker === worker) this.disclaim(worker, name);
  }

  /** Another node takes a session over. Resolves when no worker has a connection of it. */
  claimed(name: string): NowOrLater<void> {
    const session = this.#sessions.get(name);
    if (!session) return undefined;
    session.owned = false;
    const { holder } = session;
    session.holder = undefined;
    if (holder) this.#takeFrom(session, holder, new Error('another node has taken the session over'));
    return Promise.all(session.leaving.map(({ ended }) => ended)).then(() => this.#lostClaim(session));
  }

  /**
   * A worker that had made a later claim has not let go. If the cluster could not take the session
   * back with it, the other node still waits.
   */
  #lostClaim({ name, holder }: HeldSession): NowOrLater<void> {
    if (!holder?.failed) return undefined;
    this.#cluster.disclaim(name);
    return this.claimed(name);
  }

  #create(name: string): HeldSession {
    const session: HeldSession = { name, holder: undefined, leaving: [], owned: false };
    this.#sessions.set(name, session);
    return session;
  }

  #takeFrom(session: HeldSession, claim: Claim, error: Error): void {
    claim.reject?.(error);
    const end = () => {
      session.leaving = session.leaving.filter((each) => each !== leaving);
      this.#tidy(session);
    };
    // A worker that cannot be reached has ended, and its connections with it.
    const ended = this.#letGo(claim.worker, session.name, claim.number).then(end, end);
    const leaving = { worker: claim.worker, ended };
    session.leaving = [...session.leaving, leaving];
  }

  /** Gives the session up, and forgets it, when no worker has it any more. */
  #tidy(session: HeldSession): void {
    if (session.holder || session.leaving.length > 0) return;
    this.#sessions.delete(session.name);
    if (session.owned) this.#cluster.disclaim(session.name);
  }
}
