import fc from 'fast-check';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { Conversation, loadChanges } from '../../web/app/state/conversation.ts';
import { connect } from '../../web/sdk/index.ts';
import type { ChangeOp } from '../../web/sdk/types.ts';
import { FakeSocket, lastSocket, MemoryStore } from '../sdk/fakes.ts';
import { useFakePage } from './fake-page.ts';

useFakePage();

const nextFrame = () => vi.advanceTimersByTimeAsync(20);

interface Stored {
  readonly seq: number;
  text: string;
  deleted: boolean;
  edited: number | undefined;
  readonly reactions: Map<string, string[]>;
  changed: number | undefined;
}

/** The log of a room, as a server keeps it: the messages as they are, and all records. */
class Log {
  readonly messages: Stored[] = [];
  /** The changes, and the numbers of the messages between them. */
  readonly records: (object | number)[] = [];

  get head(): number {
    return this.records.length;
  }

  send(): void {
    const seq = this.head + 1;
    this.messages.push({
      seq,
      text: `${seq}`,
      deleted: false,
      edited: undefined,
      reactions: new Map(),
      changed: undefined,
    });
    this.records.push(seq);
  }

  change(index: number, op: ChangeOp, from: string, reaction: string): void {
    const message = this.messages[index % Math.max(1, this.messages.length)];
    if (!message || message.deleted) return;
    const seq = this.head + 1;
    const change = { t: 'change', room: 'r', seq, id: '', from, at: seq, op, of: message.seq };
    const users = message.reactions.get(reaction) ?? [];
    if (op === 'edit') Object.assign(message, { text: `${message.seq} at ${seq}`, edited: seq });
    else if (op === 'delete') Object.assign(message, { deleted: true, edited: undefined }).reactions.clear();
    else if (op === 'react') message.reactions.set(reaction, users.includes(from) ? users : [...users, from]);
    else if (users.length > 1)
      message.reactions.set(
        reaction,
        users.filter((user) => user !== from),
      );
    else if (users[0] === from) message.reactions.delete(reaction);
    message.changed = seq;
    const data = op === 'edit' ? { data: { text: message.text } } : {};
    this.records.push({ ...change, ...data, ...(op.endsWith('react') && { reaction }) });
  }

  /** Returns what a member receives that has received `seq`: the messages contain later changes. */
  after(seq: number): object[] {
    const stored = (record: number) => this.messages.find((each) => each.seq === record) as Stored;
    return this.records
      .slice(seq)
      .map((record) => (typeof record === 'number' ? this.message(stored(record)) : record));
  }

  /** Returns a message as it is now, in a reply or on its own. */
  message({ seq, text, deleted, edited, reactions, changed }: Stored): object {
    const list = [...reactions].map(([reaction, users]) => ({ reaction, count: users.length, users }));
    const data = deleted ? { deleted: true } : { data: { text }, ...(list.length > 0 && { reactions: list }) };
    const message = { t: 'message', room: 'r', seq, id: '', from: 'bob', at: 1, ...data };
    return { ...message, ...(edited && { edited }), ...(changed && { changed }) };
  }

  /** Answers a request of the history with what the log has now. */
  page({ id, before, after, limit = 50 }: { id?: string; before?: number; after?: number; limit?: number }): object {
    const older = after === undefined;
    const inRange = this.messages.filter(({ seq }) => (older ? seq < (before ?? this.head + 1) : seq > after));
    const found = older ? inRange.slice(-limit) : inRange.slice(0, limit);
    const more = found.length < inRange.length;
    const [first, last] = [found[0]?.seq ?? 1, found.at(-1)?.seq ?? this.head];
    const covered = older
      ? { from: more ? first : 1, to: (before ?? this.head + 1) - 1 }
      : { from: after + 1, to: more ? last : this.head };
    return { t: 'history', room: 'r', id, messages: found.map((each) => this.message(each)), more, ...covered };
  }

  /** What the page should show of a message. */
  shown(seq: number): object {
    const { text, deleted, edited, reactions, changed } = this.messages.find((each) => each.seq === seq) as Stored;
    return {
      seq,
      text: deleted ? '' : text,
      deleted,
      edited: deleted ? undefined : edited,
      changed,
      reactions: [...reactions],
    };
  }
}

const joined = (seq: number) =>
  ({ t: 'joined', room: 'r', epoch: 'e', seq, recovered: true, count: 1, members: ['ada'] }) as never;

/** Opens a room on a log. The requests are answered by `answer`. */
async function open(log: Log) {
  // The client would fall back to HTTP after several disconnects in a row.
  const hub = connect('http://hub.test', { WebSocket: FakeSocket, transport: 'websocket' });
  await vi.advanceTimersByTimeAsync(0);
  const conversation = new Conversation('r', { onMessages: () => {}, onFailure: () => {}, onRemoved: () => {} });
  conversation.setActive(true);
  conversation.bind(hub, 'ada');
  lastSocket().welcome();
  lastSocket().deliver(joined(log.head));
  const answer = () => {
    for (const request of lastSocket().take('history')) lastSocket().deliver(log.page(request) as never);
  };
  const shown = () =>
    conversation.timeline.entries.flatMap((entry) => {
      if (entry.kind !== 'message') return [];
      const { seq, text, deleted = false, edited, reactions = [], changed } = entry;
      const users = reactions.map((each) => [each.reaction, each.users]);
      return [{ seq, text, deleted, edited: deleted ? undefined : edited, changed, reactions: users }];
    });
  return { hub, conversation, answer, shown };
}

describe('changes', () => {
  test('end equal for everyone, however they interleave with messages, pages and reconnects', async () => {
    const ops = ['edit', 'delete', 'react', 'react', 'react', 'unreact'] as const;
    const change = fc.record({
      kind: fc.constant('change' as const),
      index: fc.nat(400),
      op: fc.constantFrom(...ops),
      from: fc.constantFrom('ada', 'bob', 'carol'),
      reaction: fc.constantFrom('+', '-'),
    });
    const other = fc.constantFrom('message', 'message', 'deliver', 'frame', 'older', 'page', 'answer', 'reconnect');
    const step = fc.oneof({ weight: 3, arbitrary: change }, { weight: 4, arbitrary: other.map((kind) => ({ kind })) });
    await fc.assert(
      fc.asyncProperty(fc.nat(250), fc.array(step, { minLength: 10, maxLength: 80 }), async (start, steps) => {
        const log = new Log();
        for (let seq = 0; seq < start; seq++) {
          log.send();
          if (seq % 3 === 0) log.change(seq, seq % 2 === 0 ? 'react' : 'edit', 'bob', '+');
        }
        const { hub, conversation, answer, shown } = await open(log);
        try {
          let delivered = log.head;
          let page: object | undefined;
          const deliver = () => {
            const records = log.after(delivered) as never[];
            if (records.length > 0) lastSocket().deliver(...records);
            delivered = log.head;
          };
          for (const each of steps) {
            if (each.kind === 'change') {
              const { index, op, from, reaction } = each as never as Parameters<typeof changeArgs>[0];
              log.change(index, op, from, reaction);
            } else if (each.kind === 'message') log.send();
            else if (each.kind === 'deliver') deliver();
            else if (each.kind === 'frame') await nextFrame();
            else if (each.kind === 'older') void conversation.history.loadOlder();
            else if (each.kind === 'page') {
              // A page that is read now, and sent after what is committed later.
              const [request] = page ? [] : lastSocket().take('history');
              if (request) page = log.page(request);
            } else if (each.kind === 'answer') {
              if (page) lastSocket().deliver(page as never);
              page = undefined;
              answer();
            } else {
              page = undefined;
              lastSocket().disconnect();
              const sockets = FakeSocket.all.length;
              while (FakeSocket.all.length === sockets) await vi.advanceTimersByTimeAsync(50);
              lastSocket().welcome();
              lastSocket().deliver(joined(delivered));
              deliver();
            }
          }
          if (page) lastSocket().deliver(page as never);
          deliver();
          for (let round = 0; round < 12; round++) {
            answer();
            await nextFrame();
          }
          const result = shown();
          expect(result).toEqual(result.map(({ seq }) => log.shown(seq)));
          if (!conversation.timeline.detached && log.messages.length > 0) {
            expect(result.at(-1)?.seq).toBe(log.messages.at(-1)?.seq);
          }
        } finally {
          hub.close();
        }
      }),
      { numRuns: 150 },
    );
  });

  test('count neither as unread messages nor as missing ones', async () => {
    const log = new Log();
    for (let seq = 0; seq < 5; seq++) log.send();
    const { hub, conversation, answer } = await open(log);
    answer();
    await nextFrame();
    conversation.setActive(false);
    const before = log.head;
    log.change(0, 'react', 'bob', '+');
    log.change(1, 'edit', 'bob', '');
    lastSocket().deliver(...(log.after(before) as never[]));
    await nextFrame();
    const { readState } = conversation;
    expect(readState.unread.value).toBe(0);
    const next = log.head;
    log.send();
    log.send();
    lastSocket().deliver(...(log.after(next) as never[]));
    await nextFrame();
    expect(readState.unread.value).toBe(2);
    const last = log.head;
    log.change(6, 'delete', 'bob', '');
    lastSocket().deliver(...(log.after(last) as never[]));
    await nextFrame();
    expect(readState.unread.value).toBe(1);
    expect(readState.unreadAtMost.value).toBe(false);
    lastSocket().deliver({ t: 'gap', room: 'r', from: log.head + 1, to: log.head + 9, why: 'slow' });
    await nextFrame();
    expect(readState.unread.value).toBe(10);
    expect(readState.unreadAtMost.value).toBe(true);
    expect(conversation.timeline.entries.at(-1)).toMatchObject({ kind: 'missing', atMost: true });
    hub.close();
  });

  test('that a failover has lost are read again, and are not counted as lost messages', async () => {
    const log = new Log();
    for (let seq = 0; seq < 3; seq++) log.send();
    const { hub, conversation, answer, shown } = await open(log);
    answer();
    await nextFrame();
    log.change(0, 'edit', 'bob', '');
    lastSocket().deliver(...(log.after(3) as never[]));
    await nextFrame();
    expect(shown()[0]).toMatchObject({ text: '1 at 4', edited: 4 });
    const kept = new Log();
    for (let seq = 0; seq < 3; seq++) kept.send();
    lastSocket().deliver({ ...(joined(3) as object), epoch: 'f', recovered: false, lost: { from: 4, to: 4 } } as never);
    await answerRereads(kept);
    expect(shown()[0]).toMatchObject({ text: '1', edited: undefined });
    expect(conversation.timeline.entries.map(({ kind }) => kind)).toEqual(['message', 'message', 'message']);
    hub.close();
  });

  test('that a page of the history had, and a failover has lost before they arrived, are read again', async () => {
    const log = new Log();
    for (let seq = 0; seq < 3; seq++) log.send();
    const { hub, answer, shown } = await open(log);
    log.change(0, 'edit', 'bob', '');
    answer();
    await nextFrame();
    expect(shown()[0]).toMatchObject({ text: '1 at 4', edited: 4 });
    const kept = new Log();
    for (let seq = 0; seq < 3; seq++) kept.send();
    lastSocket().deliver({ ...(joined(3) as object), epoch: 'f', recovered: true } as never);
    await answerRereads(kept);
    expect(shown()[0]).toMatchObject({ text: '1', edited: undefined });
    hub.close();
  });
});

/** Answers the requests for messages that are read again, from a log. */
async function answerRereads(log: Log): Promise<void> {
  await vi.dynamicImportSettled();
  await vi.dynamicImportSettled();
  await vi.advanceTimersByTimeAsync(1_100);
  for (const request of lastSocket().take('history')) lastSocket().deliver(log.page(request) as never);
  await nextFrame();
}

/** The entries that the page shows of messages, without what does not change. */
const messagesOf = (conversation: Conversation) =>
  conversation.entries.flatMap((entry) => {
    if (entry.kind !== 'message') return [];
    const { text, unsaved = [], rejected = [], reactions = [] } = entry;
    const failed = rejected.map(({ op, why }) => `${op}: ${why}`);
    return [{ text, unsaved, rejected: failed, reactions: reactions.map(({ reaction }) => reaction) }];
  });

describe('changes that are not acknowledged', () => {
  beforeEach(() => {
    vi.stubGlobal('window', {});
    vi.stubGlobal('navigator', {});
    for (const name of ['localStorage', 'sessionStorage']) vi.stubGlobal(name, new MemoryStore());
  });

  /** Opens the room as a page does when it is loaded, and shows the log. */
  async function visit(log: Log, user = 'ada') {
    const hub = connect('http://hub.test', { WebSocket: FakeSocket, transport: 'websocket', user });
    await vi.advanceTimersByTimeAsync(0);
    const failures: string[] = [];
    const onFailure = (line: string) => void failures.push(line);
    const conversation = new Conversation('r', { onMessages: () => {}, onFailure, onRemoved: () => {} });
    conversation.setActive(true);
    conversation.bind(hub, user);
    lastSocket().welcome({ user });
    lastSocket().deliver(joined(log.head));
    for (const request of lastSocket().take('history')) lastSocket().deliver(log.page(request) as never);
    const { outgoingChangesOf } = await loadChanges();
    await settle();
    return { hub, conversation, failures, changes: outgoingChangesOf(conversation) };
  }

  async function settle(): Promise<void> {
    await vi.dynamicImportSettled();
    await nextFrame();
    await nextFrame();
  }

  function logOf(count: number): Log {
    const log = new Log();
    for (let seq = 0; seq < count; seq++) log.send();
    return log;
  }

  const as = { unsaved: [], rejected: [], reactions: [] };

  test('show as pending after a reload, and are sent again in order, with their ids', async () => {
    const log = logOf(4);
    const first = await visit(log);
    lastSocket().disconnect();
    first.changes.send({ op: 'edit', of: 1, text: 'edited' });
    first.changes.send({ op: 'delete', of: 2 });
    first.changes.send({ op: 'react', of: 3, reaction: '+' });
    first.changes.send({ op: 'edit', of: 9, text: 'of a message that is gone' });
    const pending = [
      { ...as, text: 'edited', unsaved: ['edit'] },
      { ...as, text: '2', unsaved: ['delete'] },
      { ...as, text: '3', unsaved: ['+'], reactions: ['+'] },
      { ...as, text: '4' },
    ];
    await settle();
    expect(messagesOf(first.conversation)).toEqual(pending);
    const ids = first.conversation.outgoing.changes.value.map(({ id }) => id);
    first.hub.close();

    const other = await visit(log, 'bob');
    expect(messagesOf(other.conversation).every(({ unsaved }) => unsaved.length === 0)).toBe(true);
    expect(lastSocket().take('send')).toEqual([]);
    other.hub.close();

    const { hub, conversation, failures, changes } = await visit(log);
    expect(messagesOf(conversation)).toEqual(pending);
    expect(conversation.pendingCount.value).toBe(4);
    const sent = lastSocket().take('send');
    expect(sent.map((each) => [each.id, 'op' in each && each.op])).toEqual(
      ids.map((id, index) => [id, ['edit', 'delete', 'react', 'edit'][index]]),
    );
    const refuse = (id = '', code: 'forbidden' | 'not_found' = 'forbidden') =>
      lastSocket().deliver({ t: 'error', id, code, message: `is ${code}`, retry: false } as never);
    log.change(0, 'edit', 'ada', '');
    lastSocket().deliver({ t: 'sent', room: 'r', id: ids[0] as string, seq: 5 }, ...(log.after(4) as never[]));
    refuse(ids[1]);
    refuse(ids[2]);
    refuse(ids[3], 'not_found');
    await settle();
    const rejected = [
      { ...as, text: '1 at 5' },
      { ...as, text: '2', rejected: [expect.stringMatching(/^delete: /)] },
      { ...as, text: '3', rejected: ['react: is forbidden'] },
      { ...as, text: '4' },
    ];
    expect(messagesOf(conversation)).toEqual(rejected);
    expect(failures).toEqual(['Edit not saved: is not_found.']);
    expect(conversation.pendingCount.value).toBe(0);
    hub.close();

    const stranger = await visit(log, 'bob');
    expect(messagesOf(stranger.conversation).flatMap((each) => each.rejected)).toEqual([]);
    stranger.hub.close();
    const last = await visit(log);
    expect(messagesOf(last.conversation)).toEqual(rejected);
    expect(lastSocket().take('send')).toEqual([]);
    last.changes.toggleReaction(last.conversation.history.loadedMessage(3) as never, '+');
    await settle();
    expect(messagesOf(last.conversation)[2]).toEqual({ ...as, text: '3', unsaved: ['+'], reactions: ['+'] });
    expect(changes).not.toBe(last.changes);
    last.hub.close();
  });

  test('keep at most 50 rejections, and show a message of an earlier visit that the server rejects', async () => {
    const log = logOf(1);
    const first = await visit(log);
    lastSocket().disconnect();
    for (let index = 0; index < 60; index++) first.changes.send({ op: 'react', of: 1, reaction: `${index}` });
    first.conversation.outgoing.send('from before');
    await settle();
    first.hub.close();
    const { hub, conversation } = await visit(log);
    for (const { id } of lastSocket().take('send')) {
      lastSocket().deliver({ t: 'error', id, code: 'forbidden', message: 'no', retry: false } as never);
    }
    await settle();
    expect(messagesOf(conversation)[0]?.rejected).toHaveLength(50);
    expect(conversation.outgoing.failed.value).toEqual([{ text: 'from before', why: 'no', reply: undefined }]);
    hub.close();
  });
});

const changeArgs = (args: { index: number; op: ChangeOp; from: string; reaction: string }) => args;
