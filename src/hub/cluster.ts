import type { NowOrLater } from '../protocol/now-or-later.ts';
import type { Json, Place, Signalled } from '../protocol/v1.ts';

/** Changes in a room's members. A name occurs once for each of its members. */
export interface PresenceChange {
  readonly joined: readonly string[];
  readonly left: readonly string[];
}

/** The members of a room on the other nodes. */
export interface RemoteMembers {
  readonly count: number;
  /** Undefined where a node has too many members to name them. */
  readonly users: readonly string[] | undefined;
}

/** A signal on its way to the members on other nodes. */
export interface PassedSignal extends Signalled {
  /** The session of a sender whose connection is not here. It does not get the signal. */
  readonly session?: string;
}

/** Receives what the other nodes publish. */
export interface ClusterListener {
  /** A member on another node sent a signal. */
  signalled(signal: PassedSignal): void;
  /** Members on other nodes joined and left a room. `others` has them already. */
  changed(room: string, change: PresenceChange): void;
  /** A user has read a room up to a place, on another node. */
  hasRead(user: string, room: string, place: Place): void;
  /**
   * Another node takes a session over from this node's connection, and from all claims that this
   * node has made so far. Resolves when the connection is closed: from then on it receives and
   * sends nothing.
   */
  claimed(session: string): NowOrLater<void>;
  /**
   * Answers a question of another node or worker. If it throws or rejects, this node counts as
   * missing. A node of several workers returns `WorkerAnswers`.
   */
  asked(question: Json): NowOrLater<Json | WorkerAnswers>;
}

/** What the other nodes and workers answered to a question. */
export interface Answers {
  /** In no order. A node of several workers has an answer for each. */
  readonly answers: readonly Json[];
  /** How many nodes and workers did not answer in time, or could not. */
  readonly missing: number;
}

/** The answers of one node's workers to a question of another node. */
export class WorkerAnswers implements Answers {
  readonly answers: readonly Json[];
  readonly missing: number;

  constructor({ answers, missing }: Answers) {
    this.answers = answers;
    this.missing = missing;
  }
}

/** How long the answer to a question is awaited, in milliseconds. */
export const ANSWER_MS = 2_000;

/** One-time tickets by their secret text. */
export interface TicketStore {
  /** Keeps a ticket of a user for `ms` milliseconds. */
  put(ticket: string, user: string, ms: number): NowOrLater<void>;
  /** Returns the user of a ticket that is neither spent nor expired. */
  find(ticket: string): NowOrLater<string | undefined>;
  /** Spends a ticket. @returns whether it could be spent: once. */
  spend(ticket: string): NowOrLater<boolean>;
}

/**
 * The times before which the credentials of users are refused, in milliseconds since 1970. All
 * nodes share them.
 */
export interface RevocationStore {
  /** Returns the time of each user; 0 for one whose credentials were never revoked. */
  find(users: readonly string[]): NowOrLater<readonly number[]>;
  /**
   * Refuses what was issued to a user before a time. An earlier time does not replace a later one.
   *
   * @returns false when the store is full. Rejects when it cannot be written.
   */
  revoke(user: string, before: number): NowOrLater<boolean>;
}

/**
 * How far the users have read the rooms, whatever device they have used. All nodes share it. A
 * place replaces one of another epoch, and an earlier one of its own.
 */
export interface ReadPlaces {
  /** Returns the place up to which a user has read a room; undefined if none is kept. */
  find(user: string, room: string): NowOrLater<Place | undefined>;
  /** Keeps a place, and passes it to the other nodes. It is lost if the store cannot be reached. */
  move(user: string, room: string, place: Place): void;
}

/** How long a store keeps a place after its last move, in milliseconds. */
export const READ_PLACE_MS = 400 * 24 * 60 * 60_000;

/** Bounds of every store of revocations: the users in it, and the age at which it drops them. */
export const REVOCATIONS = { users: 100_000, ms: 400 * 24 * 60 * 60_000 };

/**
 * Rates of failed attempts to sign in, of an address and of a user: enough for mistyped passwords,
 * far too few to guess one.
 */
export const ATTEMPT_RATES = {
  address: { perSecond: 0.2, burst: 10 },
  user: { perSecond: 0.1, burst: 10 },
};

/** Attempts to sign in, counted by address and by user. */
export interface AttemptStore {
  /** Takes an attempt. @returns false after too many from this address or for this user. */
  take(address: string, user: string): NowOrLater<boolean>;
  /** Gives an attempt back: it succeeded. */
  giveBack(address: string, user: string): NowOrLater<void>;
}

/**
 * The nodes that share one store, as one of them sees the others: what passes between them beside
 * the rooms' logs.
 */
export interface Cluster {
  readonly tickets: TicketStore;
  readonly attempts: AttemptStore;
  readonly revocations: RevocationStore;
  readonly readPlaces: ReadPlaces;
  /** Starts to receive. Called once, after the engine's `open`. */
  open(listener: ClusterListener): void;
  /**
   * Returns the secret that signs sessions on all nodes.
   *
   * @param created is used unless there is one.
   */
  secret(created: Uint8Array): NowOrLater<Uint8Array>;
  /** Passes a signal to the members on the other nodes. Nodes that cannot be reached miss it. */
  signal(signal: PassedSignal): void;
  /**
   * Announces this node's members of an attached room: what changed, and all of them.
   *
   * @param users undefined where there are too many to name.
   */
  announce(room: string, change: PresenceChange, count: number, users: readonly string[] | undefined): void;
  /** Returns the members of an attached room on the other nodes. */
  others(room: string): RemoteMembers;
  /**
   * Takes a session over from any other node. Resolves when no other node's connection has it: the
   * node has let go, or its lease has ended. Rejects when the store cannot be reached; the session
   * then counts as claimed all the same, until it is disclaimed, and the claim is repeated when the
   * store is back.
   */
  claim(session: string): NowOrLater<void>;
  /** This node has no connection and no handshake of a session, claimed or not. */
  disclaim(session: string): void;
  /**
   * Asks every other node and worker a question. Never rejects: the nodes that cannot be reached,
   * or do not answer in `ANSWER_MS`, are counted.
   */
  ask(question: Json): Promise<Answers>;
  close(): void | Promise<void>;
}
