import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Conversation } from '../../web/app/state/conversation.ts';
import { connect } from '../../web/sdk/index.ts';
import type { ChangeOp } from '../../web/sdk/types.ts';
import { FakeSocket, lastSocket } from '../sdk/fakes.ts';

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('requestAnimationFrame', (callback: () => void) => setTimeout(callback, 16));
  vi.stubGlobal('cancelAnimationFrame', clearTimeout);
  vi.stubGlobal('document', Object.assign(new EventTarget(), { hidden: false }));
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

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
    await vi.dynamicImportSettled();
    await vi.dynamicImportSettled();
    await vi.advanceTimersByTimeAsync(1_100);
    for (const request of lastSocket().take('history')) lastSocket().deliver(kept.page(request) as never);
    await nextFrame();
    expect(shown()[0]).toMatchObject({ text: '1', edited: undefined });
    expect(conversation.timeline.entries.map(({ kind }) => kind)).toEqual(['message', 'message', 'message']);
    hub.close();
  });
});

const changeArgs = (args: { index: number; op: ChangeOp; from: string; reaction: string }) => args;
