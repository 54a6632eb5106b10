import { expect, test, vi } from 'vitest';
import { Conversation } from '../../web/app/state/conversation.ts';
import { connect } from '../../web/sdk/index.ts';
import { FakeSocket, lastSocket } from '../sdk/fakes.ts';
import { useFakePage } from './fake-page.ts';

useFakePage();

const message = (seq: number, text: string, from = 'bob') =>
  ({ t: 'message', room: 'r', seq, id: '', from, at: 1, data: { text } }) as const;
const joined = (epoch: string, seq: number, overrides: object = {}) =>
  ({ t: 'joined', room: 'r', epoch, seq, recovered: true, count: 1, members: ['ada'], ...overrides }) as const;
const nextFrame = () => vi.advanceTimersByTimeAsync(20);

/** Answers the oldest history request with messages of these numbers. */
async function answerHistory(seqs: readonly number[], more = false) {
  const [request] = lastSocket().take('history');
  const messages = seqs.map((seq) => message(seq, `${seq}`));
  lastSocket().deliver({
    t: 'history',
    room: 'r',
    id: request?.id as string,
    messages,
    from: 1,
    to: Math.max(0, ...seqs),
    more,
  });
  await nextFrame();
  return request;
}

/** Opens a conversation on a server whose log has four messages. Its history is not answered. */
async function open() {
  const hub = connect('http://hub.test', { WebSocket: FakeSocket });
  await vi.advanceTimersByTimeAsync(0);
  const conversation = new Conversation('r', { onMessages: () => {}, onFailure: () => {}, onRemoved: () => {} });
  conversation.setActive(true);
  conversation.bind(hub, 'ada');
  lastSocket().welcome();
  lastSocket().deliver(joined('e', 4));
  await nextFrame();
  const texts = () =>
    conversation.timeline.entries.map((entry) => {
      if (entry.kind === 'message') return entry.lost ? `(${entry.text})` : entry.text;
      return entry.kind === 'missing' && entry.lostCount ? `${entry.lostCount} lost` : entry.kind;
    });
  return { hub, conversation, texts };
}

/** Opens a conversation that shows the messages 1 to 6. */
async function openWithMessages() {
  const opened = await open();
  await answerHistory([1, 2, 3, 4]);
  lastSocket().deliver(message(5, '5'), message(6, 'mine', 'ada'));
  await nextFrame();
  lastSocket().received.length = 0;
  return opened;
}

test('marks the lost messages and shows those that take their numbers', async () => {
  const { conversation, texts } = await openWithMessages();
  lastSocket().deliver(joined('f', 4, { recovered: false, lost: { from: 5, to: 6 } }), message(5, 'new'));
  await nextFrame();
  expect(texts()).toEqual(['1', '2', '3', '4', '(5)', '(mine)', '2 lost', 'new']);
  expect(conversation.readState.unread.value).toBe(0);
  expect(lastSocket().take('ack').at(-1)).toMatchObject({ seq: 5 });
});

test('reports messages that arrived in the same frame as their loss', async () => {
  const { texts } = await openWithMessages();
  lastSocket().deliver(message(7, '7'), joined('f', 6, { recovered: false, lost: { from: 7, to: 7 } }));
  await nextFrame();
  expect(texts()).toEqual(['1', '2', '3', '4', '5', 'mine', '(7)', '1 lost']);
});

test('reports the history of a first visit as read, unless another device has read less of it', async () => {
  await open();
  await answerHistory([1, 2, 3, 4]);
  expect(lastSocket().take('ack')).toEqual([{ t: 'ack', room: 'r', seq: 4 }]);
  const { conversation } = await open();
  lastSocket().deliver({ t: 'read', room: 'r', seq: 2 });
  await answerHistory([1, 2, 3, 4]);
  expect(lastSocket().take('ack')).toEqual([]);
  expect(conversation.readState.unread.value).toBe(2);
});

test('counts the unread messages across a failover', async () => {
  const { conversation } = await openWithMessages();
  conversation.setActive(false);
  lastSocket().deliver(message(7, '7'), message(8, '8'));
  await nextFrame();
  expect(conversation.readState.unread.value).toBe(2);
  lastSocket().deliver(joined('f', 8));
  await nextFrame();
  expect(conversation.readState.unread.value).toBe(2);
  lastSocket().deliver(joined('g', 7, { recovered: false, lost: { from: 8, to: 8 } }));
  await nextFrame();
  expect(conversation.readState.unread.value).toBe(1);
  conversation.setActive(true);
  expect(conversation.readState.unreadAfter.value).toEqual({ epoch: 'g', seq: 6 });
});

test('shows nothing if the log continues in another epoch without a loss', async () => {
  const { conversation, texts } = await openWithMessages();
  const keys = conversation.timeline.entries.map(({ key }) => key);
  lastSocket().deliver(joined('f', 6), message(7, '7'));
  await nextFrame();
  expect(texts()).toEqual(['1', '2', '3', '4', '5', 'mine', '7']);
  expect(conversation.timeline.entries.slice(0, 6).map(({ key }) => key)).toEqual(keys);
  lastSocket().deliver(joined('g', 0, { recovered: false }));
  await nextFrame();
  expect(texts().at(-1)).toBe('note');
});

test('shows that the room was reset if its log was replaced, and marks no message as lost', async () => {
  const { texts, conversation } = await openWithMessages();
  lastSocket().deliver(joined('new', 2, { recovered: false }));
  lastSocket().deliver({ t: 'gap', room: 'r', from: 1, to: 2, why: 'epoch' }, message(3, 'three'));
  await nextFrame();
  expect(texts()).toEqual(['1', '2', '3', '4', '5', 'mine', 'note', 'missing', 'three']);
  const keys = conversation.timeline.entries.map(({ key }) => key);
  expect(new Set(keys).size).toBe(keys.length);
});

test('adds no note about a reset to an empty room', async () => {
  const { texts } = await open();
  await answerHistory([]);
  lastSocket().deliver(joined('new', 0, { recovered: false }));
  await nextFrame();
  expect(texts()).toEqual([]);
});

test('loads the newest messages again if the log changes its epoch meanwhile', async () => {
  const { conversation, texts } = await open();
  lastSocket().deliver(joined('f', 3, { recovered: false, lost: { from: 4, to: 4 } }), message(4, 'new'));
  expect(await answerHistory([1, 2, 3, 4])).toMatchObject({ before: 5 });
  expect(conversation.history.loaded.value).toBe(false);
  expect(await answerHistory([1, 2, 3])).toMatchObject({ before: 4 });
  expect(conversation.history.loaded.value).toBe(true);
  expect(texts()).toEqual(['1', '2', '3', '1 lost', 'new']);
});
