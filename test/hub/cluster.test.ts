import { describe, expect, test } from 'vitest';
import type { Cluster, PresenceChange, RemoteMembers } from '../../src/hub/cluster.ts';
import type { HubOverrides } from '../../src/hub/settings.ts';
import type { Signalled } from '../../src/protocol/v1.ts';
import { CommaEncoder, type FakeSubscriber } from './harness.ts';
import { noticesOf, openManual } from './manual-engine.ts';

interface Announcement {
  readonly room: string;
  readonly change: PresenceChange;
  readonly count: number;
  readonly users: readonly string[] | undefined;
}

/** The other nodes, as the test says they are. */
class FakeCluster implements Pick<Cluster, 'signal' | 'announce' | 'others'> {
  readonly signals: Signalled[] = [];
  readonly announcements: Announcement[] = [];
  remote: RemoteMembers = { count: 0, users: [] };

  signal(signal: Signalled): void {
    this.signals.push(signal);
  }

  announce(room: string, change: PresenceChange, count: number, users: readonly string[] | undefined): void {
    this.announcements.push({ room, change, count, users });
  }

  others(): RemoteMembers {
    return this.remote;
  }
}

const ANN = { count: 1, users: ['ann'] };

/** Opens a Hub beside a node with the members `remote`. */
async function openCluster(remote: RemoteMembers = ANN, settings: HubOverrides = {}) {
  const cluster = new FakeCluster();
  cluster.remote = remote;
  const opened = await openManual(settings, cluster as unknown as Cluster);
  const { hub, join } = opened;
  const wire = new CommaEncoder('joined', 'presence', 'signal');
  const enter = (room = 'lobby') => join(undefined, room, wire);
  /** Members of the other nodes have changed. */
  const change = (members: RemoteMembers, joined: string[], left: string[] = []) => {
    cluster.remote = members;
    hub.presenceChangedElsewhere('lobby', { joined, left });
  };
  return { ...opened, cluster, enter, change };
}

/** Returns the members of the room as a client knows them from its notices. */
function knownTo(member: FakeSubscriber): string[] | undefined {
  let known: string[] | undefined;
  for (const notice of member.notices) {
    if (notice.t !== 'joined' && notice.t !== 'presence') continue;
    const { members, joined = [], left = [] } = { joined: undefined, left: undefined, ...notice };
    known = members ? [...members] : known;
    known?.push(...joined);
    for (const name of left) known?.splice(known.indexOf(name), 1);
  }
  return known?.sort();
}

describe('presence beside other nodes', () => {
  test('has the members of all nodes', async () => {
    const { time, settle, enter } = await openCluster({ count: 2, users: ['ann', 'bob'] });
    const member = enter();
    await settle();
    expect(noticesOf(member, 'joined')[0]).toMatchObject({ count: 3, members: ['ann', 'bob'] });
    enter();
    await settle();
    time.advance(5000);
    expect(noticesOf(member, 'presence').at(-1)).toMatchObject({ count: 4, joined: ['s2'] });
    expect(knownTo(member)).toEqual(['ann', 'bob', 's1', 's2']);
  });

  test('has the count alone in a room that is too large together', async () => {
    const { time, settle, enter, change } = await openCluster({ count: 2, users: ['ann', 'bob'] }, { namedMembers: 3 });
    const member = enter();
    await settle();
    expect(noticesOf(member, 'joined')[0]).toHaveProperty('members');
    enter();
    await settle();
    time.advance(5000);
    expect(noticesOf(member, 'presence').at(-1)).toEqual({ t: 'presence', room: 'lobby', count: 4 });
    change(ANN, [], ['bob']);
    await settle();
    time.advance(5000);
    const members = ['s1', 's2', 'ann'];
    expect(noticesOf(member, 'presence').at(-1)).toEqual({ t: 'presence', room: 'lobby', count: 3, members });
  });

  test('has the count alone where another node gives no names', async () => {
    const { settle, enter } = await openCluster({ count: 5, users: undefined });
    const member = enter();
    await settle();
    expect(noticesOf(member, 'joined')[0]).toMatchObject({ count: 6 });
    expect(noticesOf(member, 'joined')[0]).not.toHaveProperty('members');
  });

  test('notifies of changes elsewhere, and announces none of them', async () => {
    const { time, settle, enter, change, cluster } = await openCluster();
    const member = enter();
    await settle();
    time.advance(5000);
    const before = cluster.announcements.length;
    change({ count: 2, users: ['bob', 'cat'] }, ['bob', 'cat'], ['ann']);
    await settle();
    time.advance(5000);
    const last = { t: 'presence', room: 'lobby', count: 3, joined: ['bob', 'cat'], left: ['ann'] };
    expect(noticesOf(member, 'presence').at(-1)).toEqual(last);
    expect(cluster.announcements).toHaveLength(before);
  });

  test('notifies of a count that has changed without names', async () => {
    const { time, settle, enter, change } = await openCluster({ count: 2000, users: undefined });
    const member = enter();
    await settle();
    time.advance(5000);
    change({ count: 3000, users: undefined }, []);
    await settle();
    time.advance(5000);
    expect(noticesOf(member, 'presence').at(-1)).toEqual({ t: 'presence', room: 'lobby', count: 3001 });
  });

  test('gives a new member the list that the others have, so that the next change is true for both', async () => {
    const { time, settle, enter, change } = await openCluster();
    const first = enter();
    await settle();
    time.advance(5000);
    change({ count: 2, users: ['ann', 'bob'] }, ['bob']); // announced later
    enter();
    await settle();
    change({ count: 1, users: ['bob'] }, [], ['ann']);
    const third = enter();
    await settle();
    time.advance(5000);
    for (const member of [first, third]) expect(knownTo(member)).toEqual(['bob', 's1', 's2', 's3']);
  });

  test('is delayed by the members of all nodes', async () => {
    const { time, settle, enter, change } = await openCluster({ count: 99, users: undefined });
    const member = enter();
    await settle();
    time.advance(5000);
    change({ count: 100, users: undefined }, []);
    await settle();
    change({ count: 101, users: undefined }, []);
    await settle();
    const count = () => noticesOf(member, 'presence').length;
    const before = count();
    time.advance(100);
    expect(count()).toBe(before);
    time.advance(2);
    expect(count()).toBe(before + 1);
  });

  test('reaches a member whose socket accepts no data once it does', async () => {
    const { time, hub, settle, enter, change } = await openCluster();
    const member = enter();
    await settle();
    time.advance(5000);
    member.writable = false;
    change({ count: 2, users: ['ann', 'bob'] }, ['bob']);
    await settle();
    time.advance(5000);
    member.writable = true;
    hub.drained(member);
    await settle();
    expect(noticesOf(member, 'presence').at(-1)).toMatchObject({ count: 3, members: ['s1', 'ann', 'bob'] });
  });

  test('is taken past the bound of the mailbox, so that no list stays wrong', async () => {
    const { time, settle, enter, change, signal } = await openCluster(ANN, { mailboxes: { request: 1 } });
    const member = enter();
    await settle();
    time.advance(5000);
    signal(member, 'typing');
    change({ count: 2, users: ['ann', 'bob'] }, ['bob']);
    change({ count: 3, users: ['ann', 'bob', 'cat'] }, ['cat']);
    await settle();
    time.advance(5000);
    expect(knownTo(member)).toEqual(['ann', 'bob', 'cat', 's1']);
  });

  test('of a room that is not in memory changes nothing', async () => {
    const { hub, settle, change } = await openCluster();
    change({ count: 2, users: ['ann', 'bob'] }, ['bob']);
    await settle();
    expect(hub.rooms).toBe(0);
  });
});

describe('an announcement', () => {
  test('has the changes on this node, and all its members, at the times of its notices', async () => {
    const { time, hub, settle, enter, cluster, change } = await openCluster({ count: 9, users: undefined });
    const [first] = [enter(), enter()];
    await settle();
    const users = ['s1', 's2'];
    const change1 = { joined: ['s1', 's2'], left: [] };
    expect(cluster.announcements).toEqual([{ room: 'lobby', change: change1, count: 2, users }]);
    enter();
    await settle();
    hub.unregister(first, 'lobby');
    change({ count: 8, users: undefined }, ['zoe']);
    await settle();
    expect(cluster.announcements).toHaveLength(1);
    time.advance(20); // one notice in as many milliseconds as there are members
    const change2 = { joined: ['s3'], left: ['s1'] };
    expect(cluster.announcements[1]).toEqual({ room: 'lobby', change: change2, count: 2, users: ['s3', 's2'] });
    expect(cluster.announcements).toHaveLength(2);
  });

  test('has no names where this node has too many members', async () => {
    const { settle, enter, cluster } = await openCluster({ count: 0, users: [] }, { namedMembers: 2 });
    for (let i = 0; i < 3; i++) enter();
    await settle();
    expect(cluster.announcements).toMatchObject([{ count: 3, users: undefined }]);
  });

  test('has the names where only all nodes together have too many members', async () => {
    const { settle, enter, cluster } = await openCluster({ count: 50, users: undefined }, { namedMembers: 2 });
    enter();
    await settle();
    expect(cluster.announcements).toMatchObject([{ count: 1, users: ['s1'] }]);
  });

  test('is made in a room whose members cannot be notified, and when the last one leaves', async () => {
    const { time, hub, settle, join, cluster } = await openCluster();
    const member = join(undefined, 'lobby', new CommaEncoder());
    await settle();
    hub.unregister(member, 'lobby');
    await settle();
    time.advance(5000);
    expect(cluster.announcements).toEqual([
      { room: 'lobby', change: { joined: ['s1'], left: [] }, count: 1, users: ['s1'] },
      { room: 'lobby', change: { joined: [], left: ['s1'] }, count: 0, users: [] },
    ]);
  });

  test('follows the attachment of its room', async () => {
    const { engine, settle, enter, cluster } = await openCluster();
    engine.attachesLater = true;
    enter();
    await settle();
    expect(cluster.announcements).toEqual([]);
    engine.attached();
    await settle();
    expect(cluster.announcements).toHaveLength(1);
  });
});

describe('a signal beside other nodes', () => {
  test('goes to the members here, and once to the other nodes', async () => {
    const { settle, enter, signal, cluster } = await openCluster();
    const [sender, other] = [enter(), enter()];
    await settle();
    signal(sender, 'typing');
    await settle();
    const signalled = { t: 'signal', room: 'lobby', from: 's1', data: 'typing' };
    expect([noticesOf(sender, 'signal'), noticesOf(other, 'signal')]).toEqual([[], [signalled]]);
    expect(cluster.signals).toEqual([signalled]);
  });

  test('from another node reaches the members here, and goes no further', async () => {
    const { hub, settle, enter, cluster } = await openCluster();
    const members = [enter(), enter()];
    await settle();
    const signalled = { t: 'signal', room: 'lobby', from: 'ann', data: 'typing' } as const;
    hub.signalledElsewhere(signalled);
    hub.signalledElsewhere({ ...signalled, room: 'not in memory' });
    await settle();
    expect(members.map((member) => noticesOf(member, 'signal'))).toEqual([[signalled], [signalled]]);
    expect([cluster.signals, hub.rooms]).toEqual([[], 1]);
  });

  test('of a session over HTTP do not reach its connection, here or on another node', async () => {
    const { hub, settle, enter, cluster } = await openCluster();
    const members = [enter(), enter()];
    await settle();
    const signalled = { t: 'signal', room: 'lobby', from: 'ann', data: 'typing' } as const;
    const [{ id: session } = { id: '' }] = members;
    hub.signal({ room: 'lobby', from: 'ann', signal: signalled, session });
    await settle();
    expect(cluster.signals).toEqual([{ ...signalled, session }]);
    hub.signalledElsewhere({ ...signalled, session });
    await settle();
    expect(members.map((member) => noticesOf(member, 'signal'))).toEqual([[], [signalled, signalled]]);
  });

  test('goes to the other nodes from a room without members here', async () => {
    const { hub, settle, cluster } = await openCluster();
    const signalled = { t: 'signal', room: 'lobby', from: 'app', data: 1 } as const;
    hub.signal({ room: 'lobby', from: 'app', signal: signalled });
    await settle();
    expect([cluster.signals, hub.rooms]).toEqual([[signalled], 0]);
  });

  test('goes to them after the join before it', async () => {
    const { engine, settle, enter, signal, cluster } = await openCluster();
    engine.attachesLater = true;
    signal(enter(), 'typing');
    await settle();
    expect(cluster.signals).toEqual([]);
    engine.attached();
    await settle();
    expect(cluster.signals).toHaveLength(1);
  });

  test('goes nowhere when its room cannot be attached', async () => {
    const { engine, settle, enter, signal, cluster } = await openCluster();
    engine.attachesLater = true;
    signal(enter(), 'typing');
    await settle();
    engine.attachments.shift()?.reject();
    await settle();
    expect(cluster.signals).toEqual([]);
  });

  test('from another node is lost when the mailbox is full', async () => {
    const { hub, settle, enter, record } = await openCluster(ANN, { mailboxes: { request: 1 } });
    const overloads = record('overloaded');
    const member = enter();
    await settle();
    const signalled = { t: 'signal', room: 'lobby', from: 'ann', data: 1 } as const;
    hub.signalledElsewhere(signalled);
    hub.signalledElsewhere(signalled);
    await settle();
    expect([noticesOf(member, 'signal').length, overloads]).toEqual([1, [{ mailbox: 'request', capacity: 1 }]]);
  });
});
