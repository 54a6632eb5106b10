import type { PresenceChange, RemoteMembers } from '../../hub/cluster.ts';
import { keysOf } from './keys.ts';
import type { Link } from './link.ts';
import {
  decodeAnnouncement,
  decodeMembers,
  encodeAnnouncement,
  encodeMembers,
  type NodeMembers,
  RoomMembers,
} from './remote-members.ts';
import type { Shard } from './shard.ts';

/** What the board needs of the engine and the node. */
export interface PresenceContext {
  /** Identifies this node. */
  readonly run: string;
  shardOf(room: string): Shard;
  /** Publishes to all nodes that have attached the room. */
  publish(room: string, kind: string, payload: string): void;
  /** Members on other nodes joined and left. */
  changed(room: string, change: PresenceChange): void;
  failed(error: Error): void;
}

/** The kind of presence messages on a room's channel. */
export const PRESENCE = 'p';

const NOBODY: RemoteMembers = { count: 0, users: [] };
const EXPIRY_MS = 24 * 60 * 60_000;
const RENEWAL_MS = 60 * 60_000;

/** A room that this node has attached. */
interface BoardRoom {
  readonly members: RoomMembers;
  /** Announcements that came while the members are read; undefined otherwise. */
  waiting: [node: string, text: string][] | undefined;
}

/** This node's members of a room, as the others know them. */
interface OwnMembers extends NodeMembers {
  /** When the key's expiry was renewed. */
  readonly renewedAt: number;
}

/**
 * The members of the rooms on all nodes. Each node writes its own field of a room's hash, and then
 * publishes what changed. A node that misses an announcement reads the field.
 */
export class PresenceBoard {
  readonly #context: PresenceContext;
  readonly #rooms = new Map<string, BoardRoom>();
  readonly #own = new Map<string, OwnMembers>();

  constructor(context: PresenceContext) {
    this.#context = context;
  }

  others(room: string): RemoteMembers {
    return this.#rooms.get(room)?.members.total ?? NOBODY;
  }

  /** The nodes that have members in any attached room. */
  nodes(): Set<string> {
    const nodes = new Set<string>();
    for (const { members } of this.#rooms.values()) for (const node of members.nodes) nodes.add(node);
    return nodes;
  }

  /** Announces this node's members: what changed, and all of them. */
  announce(room: string, change: PresenceChange, count: number, users: readonly string[] | undefined): void {
    const before = this.#own.get(room);
    const version = (before?.version ?? 0) + 1;
    const own = { version, count, users };
    // A node without members keeps its version: the others remember it while they have the room.
    this.#own.set(room, { ...own, renewedAt: before?.renewedAt ?? Number.NEGATIVE_INFINITY });
    this.#write(room, own);
    const named = users !== undefined && before?.users !== undefined;
    this.#publish(
      room,
      named || before === undefined ? { kind: 'changed', version, count, ...change } : { kind: 'all', ...own },
    );
  }

  /** The room is attached on a link: reads its members, and announces this node's again. */
  async follow(name: string, link: Link): Promise<void> {
    const room = this.#rooms.get(name) ?? { members: new RoomMembers(), waiting: undefined };
    this.#rooms.set(name, room);
    room.waiting = [];
    const own = this.#own.get(name);
    if (own && own.count > 0) this.#announceAll(name, own);
    const fields = await this.#read(name, link);
    if (this.#rooms.get(name) !== room || !link.isOpen) return;
    for (const node of room.members.nodes) if (!fields.has(node)) this.#set(name, room, node, undefined);
    for (const [node, members] of fields) this.#set(name, room, node, members);
    const { waiting } = room;
    room.waiting = undefined;
    for (const [node, text] of waiting) this.#apply(name, room, node, text);
  }

  /** The room is released. */
  forget(name: string): void {
    this.#rooms.delete(name);
    this.#own.delete(name);
  }

  /** A message of a room's channel: the node, then its announcement. */
  received(name: string, node: string, text: string): void {
    const room = this.#rooms.get(name);
    if (!room || node === this.#context.run) return;
    if (room.waiting) room.waiting.push([node, text]);
    else this.#apply(name, room, node, text);
  }

  /** The node's lease has ended: its members have left. */
  nodeLeft(node: string): void {
    for (const [name, room] of this.#rooms) {
      if (![...room.members.nodes].includes(node)) continue;
      this.#set(name, room, node, undefined);
      this.#context
        .shardOf(name)
        .link?.command(['HDEL', keysOf(name).presence, node])
        .catch(() => {}); // others do, too
    }
  }

  /** Announces all members again: the others have removed them, since the lease had ended. */
  announceAgain(): void {
    for (const [name, own] of this.#own) if (own.count > 0) this.#announceAll(name, own);
  }

  /** This node leaves: its members have left. */
  async close(): Promise<void> {
    const leaving = [...this.#own].filter(([, { count }]) => count > 0);
    for (const [name, { users = [] }] of leaving) this.announce(name, { joined: [], left: users }, 0, []);
    this.#own.clear();
  }

  #announceAll(name: string, { users, count }: NodeMembers): void {
    const version = (this.#own.get(name)?.version ?? 0) + 1;
    const own = { version, count, users };
    this.#own.set(name, { ...own, renewedAt: Number.NEGATIVE_INFINITY });
    this.#write(name, own);
    this.#publish(name, { kind: 'all', ...own });
  }

  #write(name: string, own: NodeMembers): void {
    const { link } = this.#context.shardOf(name);
    if (!link) return; // announced again on the next link
    const { presence } = keysOf(name);
    const { run } = this.#context;
    const ignore = () => {};
    if (own.count === 0) link.command(['HDEL', presence, run]).catch(ignore);
    else link.command(['HSET', presence, run, encodeMembers(own)]).catch(ignore);
    const entry = this.#own.get(name);
    if (!entry || performance.now() - entry.renewedAt < RENEWAL_MS) return;
    this.#own.set(name, { ...entry, renewedAt: performance.now() });
    link.command(['PEXPIRE', presence, String(EXPIRY_MS)]).catch(ignore);
  }

  #publish(name: string, announcement: Parameters<typeof encodeAnnouncement>[0]): void {
    this.#context.publish(name, PRESENCE, `${this.#context.run}${encodeAnnouncement(announcement)}`);
  }

  #apply(name: string, room: BoardRoom, node: string, text: string): void {
    try {
      const change = room.members.announced(node, decodeAnnouncement(text));
      if (change) this.#context.changed(name, change);
      else this.#readAgain(name, room, node);
    } catch (error) {
      this.#context.failed(error as Error);
    }
  }

  #readAgain(name: string, room: BoardRoom, node: string): void {
    const { link } = this.#context.shardOf(name);
    if (!link) return; // read on the next link
    link.command(['HGET', keysOf(name).presence, node]).then(
      (field) => {
        if (this.#rooms.get(name) !== room) return;
        this.#set(name, room, node, field === null ? undefined : this.#decode(String(field)));
      },
      () => {}, // the link is lost
    );
  }

  #set(name: string, room: BoardRoom, node: string, members: NodeMembers | undefined): void {
    const count = room.members.total.count;
    const change = room.members.set(node, members);
    const isSame = change.joined.length + change.left.length === 0 && room.members.total.count === count;
    if (!isSame) this.#context.changed(name, change);
  }

  async #read(name: string, link: Link): Promise<Map<string, NodeMembers>> {
    const reply = await link.command(['HGETALL', keysOf(name).presence]);
    const fields = new Map<string, NodeMembers>();
    for (const [node, text] of entriesOf(reply)) {
      const members = node === this.#context.run ? undefined : this.#decode(text);
      if (members) fields.set(node, members);
    }
    return fields;
  }

  #decode(text: string): NodeMembers | undefined {
    try {
      return decodeMembers(text);
    } catch (error) {
      this.#context.failed(error as Error);
      return undefined;
    }
  }
}

/** Returns the fields of an HGETALL's reply, which is a map or a list by the client's settings. */
function entriesOf(reply: unknown): [string, string][] {
  if (Array.isArray(reply)) {
    return Array.from({ length: reply.length / 2 }, (_, i) => [String(reply[2 * i]), String(reply[2 * i + 1])]);
  }
  return Object.entries(reply as Record<string, string>);
}
