import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodeAnnouncement,
  decodeMembers,
  encodeAnnouncement,
  encodeMembers,
} from '../../src/engine/redis/members-codec.ts';
import { type Announcement, type NodeMembers, RoomMembers } from '../../src/engine/remote-members.ts';
import type { PresenceChange } from '../../src/hub/cluster.ts';

/** What happens on one of three nodes, and whether the announcement arrives. */
const step = fc.record({
  node: fc.constantFrom('a', 'b', 'c'),
  joined: fc.array(fc.constantFrom('ada', 'bob', 'eve', '"👋"'), { maxLength: 3 }),
  leaving: fc.nat({ max: 3 }),
  kind: fc.constantFrom('changed', 'changed', 'changed', 'all', 'unnamed', 'dead'),
  fate: fc.constantFrom('arrives', 'arrives', 'arrives', 'lost', 'late', 'twice'),
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** The members of a node as they are, and its announcements. */
class ModelNode {
  users: string[] = [];
  version = 0;
  isNamed = true;

  get field(): NodeMembers | undefined {
    if (this.users.length === 0) return undefined;
    return { version: this.version, count: this.users.length, users: this.isNamed ? [...this.users] : undefined };
  }

  change({ joined, leaving, kind }: Step): Announcement {
    const left = this.users.slice(0, leaving);
    const wasNamed = this.isNamed;
    this.users = [...this.users.slice(leaving), ...joined];
    this.isNamed = kind !== 'unnamed';
    const count = this.users.length;
    const version = ++this.version;
    if (kind === 'changed' && wasNamed) return { kind: 'changed', version, count, joined, left };
    return { kind: 'all', version, count, users: this.isNamed ? [...this.users] : undefined };
  }
}

function add(counts: Map<string, number>, names: readonly string[], by: number): void {
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + by);
}

function countsOf(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  add(counts, names, 1);
  return counts;
}

const present = (counts: Map<string, number>) => [...counts].filter(([, count]) => count !== 0).sort();

test("the changes that a room reports lead to the members that it has, and these to the nodes' own", () => {
  const run = (steps: readonly Step[]) => {
    const room = new RoomMembers();
    const nodes = new Map(['a', 'b', 'c'].map((name) => [name, new ModelNode()]));
    const reported = new Map<string, number>();
    const report = ({ joined, left }: PresenceChange) => {
      add(reported, joined, 1);
      add(reported, left, -1);
    };
    /** As the board does it: reads the field when an announcement is missing. */
    const hear = (name: string, announcement: Announcement) => {
      const decoded = decodeAnnouncement(encodeAnnouncement(announcement));
      report(room.announced(name, decoded) ?? room.set(name, (nodes.get(name) as ModelNode).field));
    };
    const late: [string, Announcement][] = [];
    for (const each of steps) {
      const node = nodes.get(each.node) as ModelNode;
      if (each.kind === 'dead') {
        report(room.set(each.node, undefined));
        node.users = [];
        continue;
      }
      const announcement = node.change(each);
      if (each.fate === 'late') late.push([each.node, announcement]);
      else if (each.fate !== 'lost') hear(each.node, announcement);
      if (each.fate === 'twice') hear(each.node, announcement);
      const { users, count } = room.total;
      if (users) {
        expect(users).toHaveLength(count);
        expect(present(countsOf(users))).toEqual(present(reported));
      }
    }
    // A node that is read has been heard of last.
    for (const [name, node] of nodes) report(room.set(name, node.field));
    const all = [...nodes.values()];
    const expected = all.flatMap(({ users }) => users);
    expect(room.total.count).toBe(expected.length);
    const isNamed = all.every((node) => node.isNamed || node.users.length === 0);
    expect(room.total.users && present(countsOf(room.total.users))).toEqual(
      isNamed ? present(countsOf(expected)) : undefined,
    );
    // Announcements that come after they were read change nothing.
    for (const [name, announcement] of late) if (nodes.get(name)?.field) hear(name, announcement);
    expect(room.total.count).toBe(expected.length);
  };
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), run), { numRuns: 1_000 });
});

test('encodes and decodes what any node has', () => {
  const members = fc.record({
    version: fc.nat(),
    count: fc.nat(),
    users: fc.option(fc.array(fc.string({ unit: 'binary' })), { nil: undefined }),
  });
  fc.assert(
    fc.property(members, (value) => {
      expect(decodeMembers(encodeMembers(value))).toEqual(value);
    }),
  );
});
