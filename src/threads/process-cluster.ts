import { ANSWER_MS, type Answers, type Cluster, type PassedSignal, WorkerAnswers } from '../hub/cluster.ts';
import { type Scheduler, systemScheduler } from '../hub/time.ts';
import type { NowOrLater } from '../protocol/now-or-later.ts';
import type { Json, Place } from '../protocol/v1.ts';
import type { Calls } from './calls.ts';
import type { MembersByNode, ProcessClusterMethods, WorkerClusterMethods } from './cluster-methods.ts';
import { inTime } from './in-time.ts';
import { ProcessClaims } from './process-claims.ts';
import { type PassAnnouncement, ProcessPresence } from './process-presence.ts';

// Less than another node waits: it gets the answers of the workers that have answered.
const WORKER_ANSWER_MS = ANSWER_MS - 500;

// Questions that the workers may have to answer at once. They miss further ones.
const MAX_QUESTIONS = 64;

type WorkerCalls = Calls<WorkerClusterMethods, ProcessClusterMethods>;

/**
 * The log thread's side of the workers' clusters: passes signals, members and sessions between the
 * workers, and between all of them and the cluster of which this process is one node.
 */
export class ProcessCluster {
  readonly #cluster: Cluster;
  readonly #workers = new Map<number, WorkerCalls>();
  readonly #presence: ProcessPresence;
  readonly #claims: ProcessClaims;
  readonly #scheduler: Scheduler;
  /** Workers that have closed. */
  readonly #closed = new Set<number>();
  #questions = 0;
  #secret: NowOrLater<Uint8Array> | undefined;

  /** @param cluster the engine's own, or a local one. */
  constructor(cluster: Cluster, scheduler: Scheduler = systemScheduler) {
    this.#cluster = cluster;
    this.#scheduler = scheduler;
    const pass: PassAnnouncement = (worker, ...announced) => this.#callsOf(worker).tell('announced', ...announced);
    this.#presence = new ProcessPresence(cluster, pass, scheduler);
    this.#claims = new ProcessClaims(cluster, (worker, ...claim) => this.#callsOf(worker).call('letGo', ...claim));
  }

  /** Adds a worker. @param calls reach it, and are served. */
  connect(worker: number, calls: WorkerCalls): void {
    const { tickets, attempts, revocations, readPlaces } = this.#cluster;
    this.#workers.set(worker, calls);
    calls.serve({
      secret: (created) => this.#sharedSecret(created),
      signal: (signal) => this.#signal(worker, signal),
      announce: (room, update) => this.#presence.announced(worker, room, update),
      claim: (session, claim) => this.#claims.claim(worker, session, claim),
      disclaim: (session) => this.#claims.disclaim(worker, session),
      putTicket: (ticket, user, ms) => tickets.put(ticket, user, ms),
      findTicket: (ticket) => tickets.find(ticket),
      spendTicket: (ticket) => tickets.spend(ticket),
      takeAttempt: (address, user) => attempts.take(address, user),
      giveBackAttempt: (address, user) => attempts.giveBack(address, user),
      findRevoked: (users) => revocations.find(users),
      revoke: (user, before) => revocations.revoke(user, before),
      findReadPlace: (user, room) => readPlaces.find(user, room),
      moveReadPlace: (user, room, place) => {
        this.#passReadPlace(worker, user, room, place);
        readPlaces.move(user, room, place);
      },
      ask: (question) => this.#ask(worker, question),
      leave: () => this.#leave(worker),
    });
  }

  /** Asks all workers, and the other nodes at the same time. Never rejects. */
  ask(question: Json): Promise<Answers> {
    return this.#ask(undefined, question);
  }

  /** Starts to receive from the other nodes. Call it after the engine's `open`. */
  open(): void {
    this.#cluster.open({
      signalled: (signal) => this.#passSignal(undefined, signal),
      changed: (room) => this.#presence.changed(room),
      hasRead: (...read) => this.#passReadPlace(undefined, ...read),
      claimed: (session) => this.#claims.claimed(session),
      asked: async (question) => new WorkerAnswers(await this.#askWorkers(undefined, question)),
    });
  }

  /**
   * A worker follows a room that the engine has attached. The reply to the worker must be posted in
   * the same turn: announcements follow in a later one.
   *
   * @returns the members of the room on the other workers and nodes.
   */
  attached(worker: number, room: string): MembersByNode {
    return this.#presence.attached(worker, room);
  }

  /** A worker has released a room: its members have left. Call it before the engine's `release`. */
  released(worker: number, room: string): void {
    this.#presence.released(worker, room);
  }

  /** Leaves the other nodes. Call it before the engine's close. */
  close(): void | Promise<void> {
    return this.#cluster.close();
  }

  #callsOf(worker: number): WorkerCalls {
    return this.#workers.get(worker) as WorkerCalls;
  }

  /** A local cluster returns each secret that it is given. The workers need the same one. */
  #sharedSecret(created: Uint8Array): NowOrLater<Uint8Array> {
    if (this.#secret !== undefined) return this.#secret;
    const secret = this.#cluster.secret(created);
    this.#secret = secret;
    if (secret instanceof Promise) {
      secret.catch(() => {
        this.#secret = undefined; // the next call tries again
      });
    }
    return secret;
  }

  #signal(worker: number, signal: PassedSignal): void {
    this.#passSignal(worker, signal);
    this.#cluster.signal(signal);
  }

  #passSignal(origin: number | undefined, signal: PassedSignal): void {
    for (const worker of this.#presence.followers(signal.room)) {
      if (worker !== origin) this.#callsOf(worker).tell('signalled', signal);
    }
  }

  #passReadPlace(origin: number | undefined, user: string, room: string, place: Place): void {
    for (const worker of this.#presence.followers(room)) {
      if (worker !== origin) this.#callsOf(worker).tell('hasRead', user, room, place);
    }
  }

  /** Asks the other workers, and the other nodes at the same time. */
  async #ask(worker: number | undefined, question: Json): Promise<Answers> {
    const [workers, nodes] = await Promise.all([this.#askWorkers(worker, question), this.#cluster.ask(question)]);
    return { answers: [...workers.answers, ...nodes.answers], missing: workers.missing + nodes.missing };
  }

  async #askWorkers(origin: number | undefined, question: Json): Promise<Answers> {
    const others = [...this.#workers].filter(([worker]) => worker !== origin && !this.#closed.has(worker));
    if (this.#questions >= MAX_QUESTIONS) return { answers: [], missing: others.length };
    this.#questions++;
    const pending = others.map(([, calls]) => {
      const answer = calls.call('asked', question).then((value) => [value]);
      return inTime<Json[]>(answer, WORKER_ANSWER_MS, [], this.#scheduler);
    });
    const answers = (await Promise.all(pending)).flat();
    this.#questions--;
    return { answers, missing: others.length - answers.length };
  }

  #leave(worker: number): void {
    this.#closed.add(worker);
    this.#presence.left(worker);
    this.#claims.left(worker);
  }
}
