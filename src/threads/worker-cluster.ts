import { type Announcement, RoomMembers, updateOf } from '../engine/remote-members.ts';
import {
  ANSWER_MS,
  type Answers,
  type AttemptStore,
  type Cluster,
  type ClusterListener,
  type PassedSignal,
  type PresenceChange,
  type ReadPlaces,
  type RemoteMembers,
  type RevocationStore,
  type TicketStore,
} from '../hub/cluster.ts';
import { type Scheduler, systemScheduler } from '../hub/time.ts';
import { andThen, type NowOrLater } from '../protocol/now-or-later.ts';
import type { Json } from '../protocol/v1.ts';
import type { Calls } from './calls.ts';
import type { MembersByNode, ProcessClusterMethods, WorkerClusterMethods } from './cluster-methods.ts';
import { inTime } from './in-time.ts';

const NOBODY: RemoteMembers = { count: 0, users: [] };

// The log thread itself waits for the others, and this thread for the log thread's turn.
const ASK_MS = ANSWER_MS + 500;

/** A room that the worker has attached. */
interface FollowedRoom {
  readonly others: RoomMembers;
  /** Whether the log thread has the names of the worker's own members. */
  named: boolean;
}

/**
 * The other workers and nodes, as a worker sees them through the log thread. It keeps the members
 * of its rooms, so that `others` answers at once.
 */
export class WorkerCluster implements Cluster {
  readonly tickets: TicketStore;
  readonly attempts: AttemptStore;
  readonly revocations: RevocationStore;
  readonly readPlaces: ReadPlaces;
  readonly #scheduler: Scheduler;
  readonly #calls: Calls<ProcessClusterMethods, WorkerClusterMethods>;
  readonly #rooms = new Map<string, FollowedRoom>();
  /** The number of the last claim of each session that the worker has. */
  readonly #claims = new Map<string, number>();
  #lastClaim = 0;
  #listener: ClusterListener | undefined;

  constructor(calls: Calls<ProcessClusterMethods, WorkerClusterMethods>, scheduler: Scheduler = systemScheduler) {
    this.#calls = calls;
    this.#scheduler = scheduler;
    this.tickets = ticketsOver(calls);
    this.attempts = attemptsOver(calls);
    this.revocations = revocationsOver(calls);
    this.readPlaces = readPlacesOver(calls);
    calls.serve({
      signalled: (signal) => this.#listener?.signalled(signal),
      hasRead: (user, room, place) => this.#listener?.hasRead(user, room, place),
      announced: (room, node, announcement) => this.#announced(room, node, announcement),
      letGo: (session, claim) => this.#letGo(session, claim),
      asked: (question) => this.#asked(question),
    });
  }

  open(listener: ClusterListener): void {
    this.#listener = listener;
  }

  /** The engine has attached a room. Call it before the next message from the log thread. */
  attached(room: string, members: MembersByNode): void {
    const others = new RoomMembers();
    for (const [node, each] of members) others.set(node, each);
    this.#rooms.set(room, { others, named: false });
  }

  /** The engine has released a room. The log thread announces that its members have left. */
  released(room: string): void {
    this.#rooms.delete(room);
  }

  secret(created: Uint8Array): Promise<Uint8Array> {
    return this.#calls.call('secret', created);
  }

  signal(signal: PassedSignal): void {
    this.#calls.tell('signal', signal);
  }

  announce(name: string, change: PresenceChange, count: number, users: readonly string[] | undefined): void {
    const room = this.#rooms.get(name);
    if (!room) return;
    this.#calls.tell('announce', name, updateOf(room.named, change, { count, users }));
    room.named = users !== undefined;
  }

  others(room: string): RemoteMembers {
    return this.#rooms.get(room)?.others.total ?? NOBODY;
  }

  claim(session: string): Promise<void> {
    const claim = ++this.#lastClaim;
    this.#claims.set(session, claim);
    return this.#calls.call('claim', session, claim);
  }

  disclaim(session: string): void {
    // The log thread has already given a session away that the worker has let go of.
    if (this.#claims.delete(session)) this.#calls.tell('disclaim', session);
  }

  ask(question: Json): Promise<Answers> {
    const missing: Answers = { answers: [], missing: 1 };
    return inTime(this.#calls.call('ask', question), ASK_MS, missing, this.#scheduler);
  }

  /** Leaves the other workers and nodes. */
  async close(): Promise<void> {
    this.#rooms.clear();
    this.#claims.clear();
    await this.#calls.call('leave').catch(() => {}); // the log thread has ended
  }

  #announced(name: string, node: string, announcement: Announcement): void {
    const room = this.#rooms.get(name);
    if (!room) return; // released meanwhile
    const change = room.others.announced(node, announcement);
    if (!change) throw new Error(`an announcement of ${node} in room ${JSON.stringify(name)} is missing`);
    this.#listener?.changed(name, change);
  }

  #asked(question: Json): NowOrLater<Json> {
    if (!this.#listener) throw new Error('the worker is starting');
    return this.#listener.asked(question) as NowOrLater<Json>; // a worker has no workers
  }

  #letGo(session: string, claim: number): NowOrLater<boolean> {
    const last = this.#claims.get(session);
    if (last === undefined) return true; // disclaimed meanwhile
    // The later claim takes the session back: the listener must not lose that one.
    if (last > claim) return false;
    this.#claims.delete(session);
    return andThen(this.#listener?.claimed(session), () => true);
  }
}

type ProcessCalls = Calls<ProcessClusterMethods, WorkerClusterMethods>;

function ticketsOver(calls: ProcessCalls): TicketStore {
  return {
    put: (ticket, user, ms) => calls.call('putTicket', ticket, user, ms),
    find: (ticket) => calls.call('findTicket', ticket),
    spend: (ticket) => calls.call('spendTicket', ticket),
  };
}

function attemptsOver(calls: ProcessCalls): AttemptStore {
  return {
    take: (address, user) => calls.call('takeAttempt', address, user),
    giveBack: (address, user) => calls.call('giveBackAttempt', address, user),
  };
}

function revocationsOver(calls: ProcessCalls): RevocationStore {
  return {
    find: (users) => calls.call('findRevoked', users),
    revoke: (user, before) => calls.call('revoke', user, before),
  };
}

function readPlacesOver(calls: ProcessCalls): ReadPlaces {
  return {
    find: (user, room) => calls.call('findReadPlace', user, room),
    move: (user, room, place) => calls.tell('moveReadPlace', user, room, place),
  };
}
