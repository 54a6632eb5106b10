import type { PresenceChange, RemoteMembers } from '../hub/cluster.ts';
import { without } from '../protocol/without.ts';

/** The members of a room on one node. */
export interface NodeMembers extends RemoteMembers {
  /** Counts the node's announcements of the room: a jump shows that one was lost. */
  readonly version: number;
}

/** A node's members of a room: what changed, or all of them. */
export type MembersUpdate =
  | ({ readonly kind: 'changed'; readonly count: number } & PresenceChange)
  | ({ readonly kind: 'all' } & RemoteMembers);

/** A node's announcement for a room. */
export type Announcement = MembersUpdate & { readonly version: number };

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

/**
 * Returns the change if it is shorter than the list of names, else all members. A longer change may
 * be incomplete.
 *
 * @param wereNamed whether the others have the names before the change.
 */
export function updateOf(
  wereNamed: boolean,
  { joined, left }: PresenceChange,
  { count, users }: RemoteMembers,
): MembersUpdate {
  const isShorter = wereNamed && users && joined.length + left.length < users.length;
  return isShorter ? { kind: 'changed', count, joined, left } : { kind: 'all', count, users };
}
