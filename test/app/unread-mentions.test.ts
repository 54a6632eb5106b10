import { expect, test, vi } from 'vitest';
import type { HistoryRequest } from '../../src/protocol/v1.ts';
import { Conversation } from '../../web/app/state/conversation.ts';
import { connect } from '../../web/sdk/index.ts';
import { FakeSocket, lastSocket } from '../sdk/fakes.ts';
import { useFakePage } from './fake-page.ts';

useFakePage();

const joined = (seq: number) =>
  ({ t: 'joined', room: 'r', epoch: 'e', seq, recovered: true, count: 1, members: ['ada'] }) as const;

/** Lets parts of the page load, and requests wait for an idle moment. */
async function settle() {
  for (let round = 0; round < 3; round++) {
    await vi.dynamicImportSettled();
    await vi.advanceTimersByTimeAsync(800);
  }
}

/** Opens a room beside the screen, on a device whose user has read up to `read` on another one. */
async function open(head: number, read: number, mentions: readonly number[]) {
  const hub = connect('http://hub.test', { WebSocket: FakeSocket, transport: 'websocket' });
  await vi.advanceTimersByTimeAsync(0);
  const conversation = new Conversation('r', { onMessages: () => {}, onFailure: () => {}, onRemoved: () => {} });
  conversation.bind(hub, 'ada');
  const socket = lastSocket();
  socket.welcome({ heartbeat: 3_600 });
  socket.deliver(joined(head), { t: 'read', room: 'r', seq: read });
  const message = (seq: number) => {
    const text = mentions.includes(seq) ? `${seq} @ada` : `${seq}`;
    return { t: 'message', room: 'r', seq, id: '', from: 'bob', at: 1, data: { text } } as const;
  };
  const answer = async ({ id = '', before = head + 1, limit = 50 }: HistoryRequest) => {
    const from = Math.max(1, before - limit);
    const messages = Array.from({ length: before - from }, (_, at) => message(from + at));
    socket.deliver({ t: 'history', room: 'r', id, messages, from, to: before - 1, more: from > 1 });
    await settle();
  };
  const answerFirst = async () => answer(socket.take('history')[0] as HistoryRequest);
  /** Answers all requests, and returns them. */
  const answerAll = async () => {
    const all: HistoryRequest[] = [];
    await settle();
    for (let requests = socket.take('history'); requests.length > 0; requests = socket.take('history')) {
      all.push(...requests);
      for (const request of requests) await answer(request);
    }
    return all;
  };
  const { unread, unreadAtMost, mentions: count } = conversation.readState;
  const badges = () => ({ unread: unread.value, atMost: unreadAtMost.value, mentions: count.value });
  return { hub, conversation, socket, message, answerFirst, answerAll, badges };
}

test('counts the mentions of unread messages that are not loaded, and shows no others than before', async () => {
  const { hub, conversation, socket, answerAll, badges } = await open(280, 100, [90, 105, 106, 280]);
  expect(await answerAll()).toMatchObject([{ before: 281 }, { before: 181 }]);
  expect(badges()).toEqual({ unread: 180, atMost: false, mentions: 3 });
  expect(conversation.timeline.entries).toHaveLength(100);
  expect(conversation.timeline.detached).toBe(false);

  // The author of a message that is not loaded takes its mention back, and adds one elsewhere.
  const change = { t: 'change', room: 'r', id: '', from: 'bob', at: 2 } as const;
  socket.deliver({ ...change, seq: 281, of: 105, op: 'delete' });
  socket.deliver({ ...change, seq: 282, of: 106, op: 'edit', data: { text: 'nobody' } });
  socket.deliver({ ...change, seq: 283, of: 150, op: 'edit', data: { text: 'so, @ada' } });
  await settle();
  expect(badges()).toEqual({ unread: 179, atMost: false, mentions: 2 });

  socket.deliver({ t: 'read', room: 'r', seq: 200 });
  expect(badges()).toEqual({ unread: 80, atMost: false, mentions: 1 });
  socket.deliver({ t: 'read', room: 'r', seq: 283 });
  expect(badges()).toEqual({ unread: 0, atMost: false, mentions: 0 });
  hub.close();
});

test('counts the mentions of a gap, also after another one, and lets the log load meanwhile', async () => {
  const { hub, conversation, socket, message, answerAll, badges } = await open(150, 150, [170, 250]);
  await answerAll();
  socket.deliver({ t: 'gap', room: 'r', from: 151, to: 200, why: 'slow' }, message(201));
  await settle();
  const [request] = socket.take('history');
  expect(request).toMatchObject({ before: 201 });

  void conversation.history.loadOlder();
  expect(conversation.history.loading.value).toBe(true);
  const [older] = socket.take('history');
  socket.deliver({ t: 'history', room: 'r', id: older?.id ?? '', messages: [], from: 1, to: 50, more: false });
  await vi.advanceTimersByTimeAsync(0);
  expect(conversation.history.loading.value).toBe(false);

  socket.received.push(request as never);
  await answerAll();
  expect(badges()).toEqual({ unread: 51, atMost: false, mentions: 1 });
  socket.deliver({ t: 'gap', room: 'r', from: 202, to: 300, why: 'slow' });
  await answerAll();
  expect(badges()).toEqual({ unread: 150, atMost: false, mentions: 2 });
  hub.close();
});

test('reads at most 500 messages to count them, and none when they have been read', async () => {
  const { hub, socket, answerAll, badges } = await open(2_000, 10, [1_450, 1_350]);
  expect(await answerAll()).toHaveLength(6);
  expect(badges()).toEqual({ unread: 1_990, atMost: true, mentions: 1 });
  socket.deliver({ t: 'gap', room: 'r', from: 2_001, to: 2_010, why: 'slow' });
  expect((await answerAll())[0]).toMatchObject({ before: 2_011 });
  socket.deliver({ t: 'gap', room: 'r', from: 2_011, to: 2_050, why: 'slow' });
  await vi.advanceTimersByTimeAsync(20);
  socket.deliver({ t: 'read', room: 'r', seq: 2_050 });
  await settle();
  expect(socket.take('history')).toEqual([]);
  hub.close();
});

test('goes on after a new connection, and after a room that was left', async () => {
  const left = await open(300, 1, []);
  await left.answerFirst();
  expect(left.socket.take('history')).toMatchObject([{ before: 201 }]);
  const { hub, conversation, answerFirst } = await open(300, 1, []);
  await answerFirst();
  expect(lastSocket().take('history')).toEqual([]);
  left.conversation.leave();
  await settle();
  expect(lastSocket().take('history')).toMatchObject([{ before: 201 }]);
  hub.close();
  const next = connect('http://hub.test', { WebSocket: FakeSocket, transport: 'websocket' });
  conversation.bind(next, 'ada');
  await vi.advanceTimersByTimeAsync(0);
  lastSocket().welcome({ heartbeat: 3_600 });
  lastSocket().deliver(joined(300));
  await settle();
  expect(lastSocket().take('history')).toMatchObject([{ before: 201 }]);
  next.close();
  left.hub.close();
});
