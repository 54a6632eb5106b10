import type { Announcement, MembersUpdate, NodeMembers } from '../engine/remote-members.ts';
import type { Answers, PassedSignal } from '../hub/cluster.ts';
import type { NowOrLater } from '../protocol/now-or-later.ts';
import type { Json, Place } from '../protocol/v1.ts';

/** The members of a room on the other workers and nodes. */
export type MembersByNode = readonly (readonly [node: string, members: NodeMembers])[];

/** Functions of the log thread that workers call: the cluster of which the process is a node. */
export interface ProcessClusterMethods {
  secret(created: Uint8Array): NowOrLater<Uint8Array>;
  signal(signal: PassedSignal): void;
  /** The worker's members of a room that it follows. */
  announce(room: string, update: MembersUpdate): void;
  /** Claims a session. @param claim a number above those of the worker's earlier claims. */
  claim(session: string, claim: number): NowOrLater<void>;
  disclaim(session: string): void;
  putTicket(ticket: string, user: string, ms: number): NowOrLater<void>;
  findTicket(ticket: string): NowOrLater<string | undefined>;
  spendTicket(ticket: string): NowOrLater<boolean>;
  takeAttempt(address: string, user: string): NowOrLater<boolean>;
  giveBackAttempt(address: string, user: string): NowOrLater<void>;
  findRevoked(users: readonly string[]): NowOrLater<readonly number[]>;
  revoke(user: string, before: number): NowOrLater<boolean>;
  findReadPlace(user: string, room: string): NowOrLater<Place | undefined>;
  moveReadPlace(user: string, room: string, place: Place): void;
  /** Asks the other workers and nodes. */
  ask(question: Json): Promise<Answers>;
  /** The worker closes: it has no members and no sessions. */
  leave(): void;
}

/** Functions of a worker that the log thread calls. */
export interface WorkerClusterMethods {
  signalled(signal: PassedSignal): void;
  hasRead(user: string, room: string, place: Place): void;
  /** The members of another worker or node. A room that the worker has released is ignored. */
  announced(room: string, node: string, announcement: Announcement): void;
  /**
   * Another worker or node takes a session over, from the worker's claims up to a number. Resolves
   * when its connection is closed: to false if the worker has claimed the session once more, and
   * keeps it.
   */
  letGo(session: string, claim: number): NowOrLater<boolean>;
  /** Answers a question of another worker or node. */
  asked(question: Json): NowOrLater<Json>;
}
