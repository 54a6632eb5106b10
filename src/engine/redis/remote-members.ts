import type { PresenceChange, RemoteMembers } from '../../hub/cluster.ts';
import { without } from '../../protocol/without.ts';
import { MalformedError } from './record-codec.ts';

/** The members of a room on one node, as the node's field in Redis has them. */
export interface NodeMembers {
  /** Counts the node's announcements of the room: a jump shows that one was lost. */
  readonly version: number;
  readonly count: number;
  /** Undefined where there are too many to name. */
  readonly users: readonly string[] | undefined;
}

/** What a node announces of a room: what changed, or all of its members. */
export type Announcement =
  | ({ readonly kind: 'changed'; readonly version: number; readonly count: number } & PresenceChange)
  | ({ readonly kind: 'all' } & NodeMembers);

const NOBODY: RemoteMembers = { count: 0, users: [] };

/** The members of one room on the other nodes. */
export class RoomMembers {
  readonly #nodes = new Map<string, NodeMembers>();
  #total: RemoteMembers | undefined = NOBODY;

  get nodes(): Iterable<string> {
    return this.#nodes.keys();
  }

  get total(): RemoteMembers {
    this.#total ??= totalOf([...this.#nodes.values()]);
    return this.#total;
  }

  /** The members on one node, as far as known. */
  of(node: string): NodeMembers | undefined {
    return this.#nodes.get(node);
  }

  /**
   * Applies an announcement of a node.
   *
   * @returns what changed, or undefined if an earlier announcement is missing.
   */
  announced(node: string, announcement: Announcement): PresenceChange | undefined {
    const before = this.#nodes.get(node);
    if (announcement.kind === 'all') return this.set(node, announcement);
    const { version, count, joined, left } = announcement;
    if (before && version <= before.version) return { joined: [], left: [] };
    if (before?.users === undefined || version !== before.version + 1) return undefined;
    this.#put(node, { version, count, users: without([...before.users, ...joined], left) });
    return { joined, left };
  }

  /** Replaces what is known of a node; undefined when it has left. @returns what changed. */
  set(node: string, members: NodeMembers | undefined): PresenceChange {
    const before = this.#nodes.get(node);
    if (before && members && members.version < before.version) return { joined: [], left: [] };
    this.#put(node, members);
    const [was, is] = [before?.users ?? [], members?.users ?? []];
    return { joined: without(is, was), left: without(was, is) };
  }

  #put(node: string, members: NodeMembers | undefined): void {
    if (members === undefined) this.#nodes.delete(node);
    else this.#nodes.set(node, members);
    this.#total = undefined;
  }
}

function totalOf(nodes: readonly NodeMembers[]): RemoteMembers {
  let count = 0;
  let users: string[] | undefined = [];
  for (const node of nodes) {
    count += node.count;
    if (users && node.users) users.push(...node.users);
    else users = undefined;
  }
  return { count, users };
}

/** Encodes a node's members for its field. */
export function encodeMembers({ version, count, users }: NodeMembers): string {
  return JSON.stringify([version, count, users ?? null]);
}

/** @throws MalformedError */
export function decodeMembers(text: string): NodeMembers {
  const [version, count, users] = parse(text);
  const named = users === null ? undefined : users;
  if (!isCount(version) || !isCount(count) || !(named === undefined || isNames(named))) throw malformed();
  return { version, count, users: named };
}

export function encodeAnnouncement(announcement: Announcement): string {
  if (announcement.kind === 'all') return encodeMembers(announcement);
  const { version, count, joined, left } = announcement;
  return JSON.stringify([version, count, joined, left]);
}

/** @throws MalformedError */
export function decodeAnnouncement(text: string): Announcement {
  const fields = parse(text);
  if (fields.length < 4) return { kind: 'all', ...decodeMembers(text) };
  const [version, count, joined, left] = fields;
  if (!isCount(version) || !isCount(count) || !isNames(joined) || !isNames(left)) throw malformed();
  return { kind: 'changed', version, count, joined, left };
}

function parse(text: string): readonly unknown[] {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch {
    throw malformed();
  }
  if (!Array.isArray(fields)) throw malformed();
  return fields;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string');
}

function malformed(): MalformedError {
  return new MalformedError('the members of a node are malformed');
}
