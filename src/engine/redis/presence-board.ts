import type { PresenceChange, RemoteMembers } from '../../hub/cluster.ts';
import { type Announcement, type NodeMembers, RoomMembers, updateOf } from '../remote-members.ts';
import { keysOf } from './keys.ts';
import type { Link } from './link.ts';
import { decodeAnnouncement, decodeMembers, encodeAnnouncement, encodeMembers } from './members-codec.ts';
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

// Removes a dead node's field, unless it is back. KEYS: presence. ARGV: the node, its last version.
const removeScript = `#!lua
local field = redis.call('HGET', KEYS[1], ARGV[1])
if field and string.match(field, '^%[(%d+),') == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0
`;

// Returns the nodes that have members, each before its version.
const versionsScript = `#!lua flags=no-writes
local fields, versions = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #fields, 2 do
  versions[i], versions[i + 1] = fields[i], string.match(fields[i + 1], '^%[(%d+),') or ''
end
return versions
`;

/** A room that this node has attached. */
interface BoardRoom {
  readonly members: RoomMembers;
  /** Announcements that came while the members are read; undefined otherwise. */
  waiting: [node: string, text: string][] | undefined;
}

/**
 * The members of the rooms on all nodes. Each node writes its own field of a room's hash, and then
 * publishes what changed. A node that misses an announcement reads the field: when the next one
 * comes, or at the next audit.
 */
export class PresenceBoard {
  readonly #context: PresenceContext;
  readonly #rooms = new Map<string, BoardRoom>();
  /** This node's members of each room, as the others know them. */
  readonly #own = new Map<string, NodeMembers>();
  /** The highest version of any room: one that is attached again continues above its last one. */
  #lastVersion = 0;

  /** Rooms that this node's last member has left while Redis could not be reached. */
  readonly #unwritten = new Set<string>();

  /** Nodes that have announced members since `nodes` was called. */
  readonly #alive = new Set<string>();

  constructor(context: PresenceContext) {
    this.#context = context;
  }

  others(room: string): RemoteMembers {
    return this.#rooms.get(room)?.members.total ?? NOBODY;
  }

  /** The nodes that have members in any attached room. */
  nodes(): Set<string> {
    this.#alive.clear();
    const nodes = new Set<string>();
    for (const { members } of this.#rooms.values()) for (const node of members.nodes) nodes.add(node);
    return nodes;
  }

  /** Announces this node's members: what changed, and all of them. */
  announce(room: string, change: PresenceChange, count: number, users: readonly string[] | undefined): void {
    const before = this.#own.get(room);
    const own = { version: this.#nextVersion(before), count, users };
    this.#own.set(room, own);
    this.#write(room, own);
    const update = updateOf(before?.users !== undefined, change, own);
    this.#publish(room, { ...update, version: own.version });
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

  /**
   * Compares the versions of an attached room's nodes: the announcement that was lost may have been
   * the last one of a node.
   */
  async audit(name: string, link: Link): Promise<void> {
    const room = this.#rooms.get(name);
    if (!room || room.waiting) return;
    const own = this.#own.get(name);
    const before = new Map([...room.members.nodes].map((node) => [node, room.members.of(node)]));
    const reply = await link.command(['EVAL', versionsScript, '1', keysOf(name).presence]);
    if (this.#rooms.get(name) !== room || room.waiting || !link.isOpen) return; // read anew since
    const versions = new Map(entriesOf(reply).map(([node, version]) => [node, Number(version)]));
    // This node's field is written on the same connection, so what was announced before is in it.
    const isOwnLost = own && own.count > 0 && versions.get(this.#context.run) !== own.version;
    if (isOwnLost && this.#own.get(name) === own) this.#announceAll(name, own);
    versions.delete(this.#context.run);
    for (const [node, version] of versions) {
      if (version > (room.members.of(node)?.version ?? 0)) this.#readAgain(name, room, node);
    }
    for (const [node, members] of before) {
      if (!versions.has(node) && room.members.of(node) === members) this.#set(name, room, node, undefined);
    }
  }

  /** The room is released. */
  forget(name: string): void {
    const own = this.#own.get(name);
    if (own && own.count > 0) this.announce(name, { joined: [], left: own.users ?? [] }, 0, []);
    this.#rooms.delete(name);
    this.#own.delete(name);
  }

  /** A message of a room's channel: the node, then its announcement. */
  received(name: string, node: string, text: string): void {
    const room = this.#rooms.get(name);
    if (!room || node === this.#context.run) return;
    this.#alive.add(node);
    if (room.waiting) room.waiting.push([node, text]);
    else this.#apply(name, room, node, text);
  }

  /** The lease of one of the `nodes` had ended: its members have left, unless it is back. */
  nodeLeft(node: string): void {
    if (this.#alive.has(node)) return;
    for (const [name, room] of this.#rooms) {
      const members = room.members.of(node);
      if (members === undefined) continue;
      this.#set(name, room, node, undefined);
      const remove = ['EVAL', removeScript, '1', keysOf(name).presence, node, String(members.version)];
      // Other nodes do it, too.
      this.#context
        .shardOf(name)
        .link?.command(remove)
        .catch(() => {});
    }
  }

  /** Announces all members again: the others have removed them, since the lease had ended. */
  announceAgain(): void {
    for (const [name, own] of this.#own) if (own.count > 0) this.#announceAll(name, own);
  }

  /** Announces the leaves that Redis has missed. Called while it can be reached. */
  retry(): void {
    for (const name of this.#unwritten) {
      if (!this.#context.shardOf(name).link) continue;
      this.#unwritten.delete(name);
      if ((this.#own.get(name)?.count ?? 0) > 0) continue; // announced anew
      const left = { version: this.#nextVersion(this.#own.get(name)), count: 0, users: [] };
      if (this.#own.has(name)) this.#own.set(name, left);
      this.#write(name, left);
      this.#publish(name, all(left));
    }
  }

  /** This node leaves: its members have left. */
  async close(): Promise<void> {
    const leaving = [...this.#own].filter(([, { count }]) => count > 0);
    for (const [name, { users = [] }] of leaving) this.announce(name, { joined: [], left: users }, 0, []);
    this.#own.clear();
  }

  #announceAll(name: string, { users, count }: NodeMembers): void {
    const own = { version: this.#nextVersion(this.#own.get(name)), count, users };
    this.#own.set(name, own);
    this.#write(name, own);
    this.#publish(name, all(own));
  }

  #nextVersion(before: NodeMembers | undefined): number {
    const version = (before?.version ?? this.#lastVersion) + 1;
    this.#lastVersion = Math.max(this.#lastVersion, version);
    return version;
  }

  #write(name: string, own: NodeMembers): void {
    const { link } = this.#context.shardOf(name);
    const { presence } = keysOf(name);
    const { run } = this.#context;
    const ignore = () => {};
    if (own.count === 0) {
      const missed = () => this.#unwritten.add(name);
      if (link) link.command(['HDEL', presence, run]).catch(missed);
      else missed();
      return;
    }
    if (!link) return; // announced again on the next link
    link.command(['HSET', presence, run, encodeMembers(own)]).catch(ignore);
    link.command(['PEXPIRE', presence, String(EXPIRY_MS)]).catch(ignore);
  }

  #publish(name: string, announcement: Announcement): void {
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
    const before = room.members.of(node);
    link.command(['HGET', keysOf(name).presence, node]).then(
      (field) => {
        if (this.#rooms.get(name) !== room) return;
        if (field === null && room.members.of(node) !== before) return; // it has announced members since
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

function all(own: NodeMembers): Announcement {
  return { kind: 'all', ...own };
}

/** Returns the fields of an HGETALL's reply, which is a map or a list by the client's settings. */
function entriesOf(reply: unknown): [string, string][] {
  if (Array.isArray(reply)) {
    return Array.from({ length: reply.length / 2 }, (_, i) => [String(reply[2 * i]), String(reply[2 * i + 1])]);
  }
  return Object.entries(reply as Record<string, string>);
}
