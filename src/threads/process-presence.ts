import {
  type Announcement,
  type MembersUpdate,
  type NodeMembers,
  RoomMembers,
  updateOf,
} from '../engine/remote-members.ts';
import type { Cluster, PresenceChange } from '../hub/cluster.ts';
import type { Scheduler } from '../hub/time.ts';
import { without } from '../protocol/without.ts';
import type { MembersByNode } from './cluster-methods.ts';

/** The part of a cluster that has the members of the rooms. */
export type PresenceCluster = Pick<Cluster, 'announce' | 'others'>;

/** Passes an announcement of a node to a worker. */
export type PassAnnouncement = (worker: number, room: string, node: string, announcement: Announcement) => void;

// The other nodes of the cluster, as one node of the workers.
const NODES = 'n';

/** Announcements that wait until the reply to the worker's attachment is posted. */
type Waiting = (readonly [node: string, announcement: Announcement])[];

/** A room that at least one worker follows. */
interface SharedRoom {
  readonly name: string;
  /** By worker: undefined once the reply to its attachment is posted. */
  readonly followers: Map<number, Waiting | undefined>;
  /** Each worker that has announced members is a node, and stays one when they have left. */
  readonly workers: RoomMembers;
  /** The members on the cluster's other nodes. */
  nodes: NodeMembers;
}

/**
 * The members of the rooms on all workers. To each worker the others are nodes, with the cluster's
 * other nodes as one more; to the cluster's other nodes all workers are one. Versions are assigned
 * here, and the workers that follow a room get every announcement: none is ever missing.
 */
export class ProcessPresence {
  readonly #cluster: PresenceCluster;
  readonly #pass: PassAnnouncement;
  readonly #scheduler: Scheduler;
  readonly #rooms = new Map<string, SharedRoom>();

  constructor(cluster: PresenceCluster, pass: PassAnnouncement, scheduler: Scheduler) {
    this.#cluster = cluster;
    this.#pass = pass;
    this.#scheduler = scheduler;
  }

  /** The workers that follow a room. */
  followers(room: string): Iterable<number> {
    return this.#rooms.get(room)?.followers.keys() ?? [];
  }

  /** A worker follows a room. @returns the members of the others, for the reply of this turn. */
  attached(worker: number, name: string): MembersByNode {
    const room = this.#rooms.get(name) ?? this.#create(name);
    const waiting: Waiting = [];
    room.followers.set(worker, waiting);
    // Promises may settle between this and the reply, and change members.
    this.#scheduler.soon(() => this.#start(room, worker, waiting));
    const members: [string, NodeMembers][] = [[NODES, room.nodes]];
    for (const node of room.workers.nodes) {
      if (node !== nodeOf(worker)) members.push([node, room.workers.of(node) as NodeMembers]);
    }
    return members;
  }

  /** A worker follows a room no more: its members have left. */
  released(worker: number, name: string): void {
    const room = this.#rooms.get(name);
    if (!room?.followers.delete(worker)) return;
    const members = room.workers.of(nodeOf(worker));
    if (members && members.count > 0) this.#update(room, worker, { kind: 'all', count: 0, users: [] });
    if (room.followers.size === 0) this.#rooms.delete(name);
  }

  /** A worker follows no room any more. */
  left(worker: number): void {
    for (const name of [...this.#rooms.keys()]) this.released(worker, name);
  }

  /** A worker's members of a room. */
  announced(worker: number, name: string, update: MembersUpdate): void {
    const room = this.#rooms.get(name);
    if (room?.followers.has(worker)) this.#update(room, worker, update);
  }

  /** Members on the cluster's other nodes have changed. */
  changed(name: string): void {
    const room = this.#rooms.get(name);
    if (!room) return;
    const before = room.nodes;
    const now = this.#cluster.others(name);
    const change = differenceOf(before.users, now.users);
    const [wereNamed, areNamed] = [before.users !== undefined, now.users !== undefined];
    const sameNames = wereNamed === areNamed && change.joined.length + change.left.length === 0;
    if (sameNames && now.count === before.count) return;
    const update = updateOf(wereNamed, change, now);
    room.nodes = { version: before.version + 1, ...now };
    this.#passOn(room, undefined, NODES, { ...update, version: room.nodes.version });
  }

  #create(name: string): SharedRoom {
    const nodes = { version: 0, ...this.#cluster.others(name) };
    const room: SharedRoom = { name, followers: new Map(), workers: new RoomMembers(), nodes };
    this.#rooms.set(name, room);
    return room;
  }

  #start(room: SharedRoom, worker: number, waiting: Waiting): void {
    if (room.followers.get(worker) !== waiting) return; // released meanwhile
    room.followers.set(worker, undefined);
    for (const [node, announcement] of waiting) this.#pass(worker, room.name, node, announcement);
  }

  #update(room: SharedRoom, worker: number, update: MembersUpdate): void {
    const node = nodeOf(worker);
    const version = (room.workers.of(node)?.version ?? 0) + 1;
    const announcement = { ...update, version };
    const change = room.workers.announced(node, announcement);
    if (!change) {
      throw new Error(`worker ${worker} changed members of room ${JSON.stringify(room.name)} that it has not named`);
    }
    this.#passOn(room, worker, node, announcement);
    const { count, users } = room.workers.total;
    this.#cluster.announce(room.name, change, count, users);
  }

  #passOn(room: SharedRoom, origin: number | undefined, node: string, announcement: Announcement): void {
    for (const [worker, waiting] of room.followers) {
      if (worker === origin) continue;
      if (waiting) waiting.push([node, announcement]);
      else this.#pass(worker, room.name, node, announcement);
    }
  }
}

function nodeOf(worker: number): string {
  return `w${worker}`;
}

function differenceOf(was: readonly string[] = [], is: readonly string[] = []): PresenceChange {
  return { joined: without(is, was), left: without(was, is) };
}
