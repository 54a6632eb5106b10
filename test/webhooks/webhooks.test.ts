import { describe, expect, test } from 'vitest';
import { LocalCursors } from '../../src/webhooks/local-cursors.ts';
import { answer, OK, startWebhooks, TestEngine, TestReceiver } from './fixtures.ts';

const texts = (count: number, from = 1) => Array.from({ length: count }, (_, i) => `m${from + i}`);
const seqs = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `${from + i}`);

describe('a webhook', () => {
  test('delivers the messages of a room in order, as the native protocol has them', async () => {
    const { receiver, send, settle, engine } = await startWebhooks();
    engine.now = 1_700_000_000_000;
    send('orders:1', 'a', 'b');
    await settle();
    send('orders:1', 'c');
    await settle();
    const { epoch } = engine.position('orders:1');
    expect(receiver.attempts.map(({ body }) => body)).toEqual([
      {
        type: 'messages',
        webhook: 'hook',
        room: 'orders:1',
        epoch,
        messages: [
          { seq: 1, id: 'a', from: 'ada', at: engine.now, data: 'a' },
          { seq: 2, id: 'b', from: 'ada', at: engine.now, data: 'b' },
        ],
      },
      {
        type: 'messages',
        webhook: 'hook',
        room: 'orders:1',
        epoch,
        messages: [{ seq: 3, id: 'c', from: 'ada', at: engine.now, data: 'c' }],
      },
    ]);
  });

  test('leaves rooms alone that it does not match', async () => {
    const { receiver, send, settle } = await startWebhooks({ matches: (room) => room === 'a' });
    send('b', 'x');
    send('a', 'y');
    await settle();
    expect(receiver.attempts.map(({ body }) => body.room)).toEqual(['a']);
  });

  test('has one batch of a room at a time, and several rooms at a time up to its bound', async () => {
    const { receiver, send, settle, webhooks } = await startWebhooks({ concurrency: 2 });
    receiver.answer = () => receiver.hang();
    for (const room of ['a', 'b', 'c']) send(room, 'x');
    await settle();
    send('a', 'y');
    await settle();
    expect(receiver.attempts.map(({ body }) => body.room)).toEqual(['a', 'b']);
    expect(webhooks.readings()[0]?.lag).toBe(4);
  });

  test('splits what waits into batches of 256 messages', async () => {
    const { receiver, send, settle } = await startWebhooks();
    send('r', ...texts(600));
    await settle();
    const sizes = receiver.attempts.map(({ body }) => (body.type === 'messages' ? body.messages.length : 0));
    expect(sizes).toEqual([256, 256, 88]);
    expect(receiver.received).toEqual(seqs(1, 600));
  });

  test('splits what waits by 256 KiB, and sends a longer message alone', async () => {
    const { receiver, send, settle } = await startWebhooks();
    send('r', 'x'.repeat(300 * 1024), ...Array.from({ length: 5 }, () => 'y'.repeat(100 * 1024)));
    await settle();
    const sizes = receiver.attempts.map(({ body }) => (body.type === 'messages' ? body.messages.length : 0));
    expect(sizes).toEqual([1, 2, 2, 1]);
  });

  test('retries with the same id and content, and with a longer delay each time', async () => {
    const { receiver, send, settle, advance, lines } = await startWebhooks();
    receiver.answer = () => answer(500);
    send('r', 'a');
    await settle();
    send('r', 'b');
    await advance(700_000);
    const { attempts } = receiver;
    expect(new Set(attempts.map(({ id, text }) => `${id} ${text}`)).size).toBe(1);
    const delays = attempts.slice(1).map(({ at }, i) => at - (attempts[i]?.at ?? 0));
    expect(delays.slice(0, 10).map((ms) => ms / 1000)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256]);
    receiver.answer = () => OK;
    await advance(300_000);
    expect(receiver.received.slice(-2)).toEqual(['1', '2']);
    expect(lines.filter((line) => line.includes('fails') || line.includes('again'))).toEqual([
      'webhook fails, and is tried again: 500',
      'webhook is delivered again',
    ]);
  });

  test('a room that fails does not hold up the others', async () => {
    const { receiver, send, settle } = await startWebhooks({ concurrency: 1 });
    receiver.answer = ({ body }) => (body.room === 'bad' ? answer(500) : OK);
    send('bad', 'x');
    send('good', 'y');
    await settle();
    send('good', 'z');
    await settle();
    expect(receiver.attempts.map(({ body }) => body.room)).toEqual(['bad', 'good', 'good']);
  });

  test.each([
    { retryAfter: '120', seconds: 120 },
    { retryAfter: 'Thu, 01 Jan 1970 00:01:00 GMT', seconds: 60 },
    { retryAfter: 'soon', seconds: 1 },
  ])('waits with all rooms as Retry-After says: $retryAfter', async ({ retryAfter, seconds }) => {
    const { receiver, send, settle, advance } = await startWebhooks();
    receiver.answer = () => answer(receiver.attempts.length === 1 ? 429 : 200, retryAfter);
    send('a', 'x');
    await settle();
    if (seconds > 1) send('b', 'y');
    await advance(seconds * 1000 - 1_000);
    expect(receiver.attempts.length).toBe(1);
    await advance(2_000);
    expect(receiver.attempts.slice(0, 2).map(({ at }) => at)).toEqual([0, seconds * 1000]);
  });

  test('ends with 410 until a replay', async () => {
    const { receiver, send, settle, advance, webhooks, lines } = await startWebhooks();
    receiver.answer = () => answer(410);
    send('a', 'x');
    await settle();
    send('b', 'y');
    await advance(600_000, 60_000);
    expect(receiver.attempts).toHaveLength(1);
    expect(lines.at(-1)).toContain('disabled');
    expect((await webhooks.list())[0]).toMatchObject({ disabled: true, lag: 2, lastStatus: '410' });
    receiver.answer = () => OK;
    expect(await webhooks.replay('hook', { after: 0, room: 'a' })).toEqual({ kind: 'replayed', rooms: 1 });
    await settle();
    expect(
      receiver.attempts
        .slice(1)
        .map(({ body }) => body.room)
        .sort(),
    ).toEqual(['a', 'b']);
    expect((await webhooks.list())[0]).toMatchObject({ lag: 0, lastStatus: '200' });
  });
});

describe('gaps', () => {
  test('names exactly the messages that were trimmed before their delivery, in order', async () => {
    const { receiver, send, settle, advance, engine, webhooks } = await startWebhooks();
    send('r', ...texts(3));
    await settle();
    receiver.answer = () => answer(500);
    send('r', ...texts(7, 4));
    await settle();
    engine.trim('r', 8);
    receiver.answer = () => OK;
    await advance(2_000);
    expect(receiver.received.slice(3 + 7)).toEqual(['gap 4-7 trimmed', '8', '9', '10']);
    const { epoch } = engine.position('r');
    expect(receiver.attempts.find(({ body }) => body.type === 'gap')?.body).toEqual({
      type: 'gap',
      webhook: 'hook',
      room: 'r',
      epoch,
      from: 4,
      to: 7,
      why: 'trimmed',
      next: { epoch, seq: 7 },
    });
    expect(webhooks.readings()[0]).toMatchObject({ gaps: 1, messages: 6, lag: 0 });
  });

  test('retries a gap with the same id', async () => {
    const { receiver, send, settle, advance, engine } = await startWebhooks();
    receiver.answer = ({ body }) => (body.type === 'gap' && receiver.attempts.length < 6 ? answer(503) : answer(500));
    send('r', ...texts(4));
    await settle();
    engine.trim('r', 3);
    await advance(10_000);
    engine.trim('r', 4);
    const gaps = () => receiver.attempts.filter(({ body }) => body.type === 'gap');
    expect(new Set(gaps().map(({ id, text }) => `${id} ${text}`)).size).toBe(1);
    receiver.answer = () => OK;
    await advance(60_000);
    expect(receiver.received.slice(-3)).toEqual(['gap 1-2 trimmed', 'gap 3-3 trimmed', '4']);
  });

  test('a move without a loss goes on in the new epoch', async () => {
    const { receiver, send, settle, engine } = await startWebhooks();
    send('r', 'a');
    await settle();
    await engine.move('r', 'second', 1);
    send('r', 'b');
    await settle();
    expect(receiver.received).toEqual(['1', '2']);
    expect(receiver.attempts.at(-1)?.body.epoch).toBe('second');
  });

  test('names what was delivered and is lost', async () => {
    const { receiver, send, settle, engine } = await startWebhooks();
    send('r', ...texts(5));
    await settle();
    const { epoch } = engine.position('r');
    await engine.move('r', 'second', 3);
    send('r', 'new');
    await settle();
    expect(receiver.received).toEqual([...seqs(1, 5), 'gap 4-5 epoch', '4']);
    expect(receiver.attempts[1]?.body).toMatchObject({ epoch, from: 4, to: 5, next: { epoch: 'second', seq: 3 } });
  });

  test('names what was lost before its delivery, in each of several epochs, where it was', async () => {
    const { receiver, send, settle, advance, engine } = await startWebhooks();
    send('r', ...texts(2));
    await settle();
    receiver.answer = () => answer(500);
    send('r', ...texts(6, 3));
    await settle();
    await engine.move('r', 'second', 6); // loses 7 and 8
    send('r', ...texts(6, 7)); // up to 12
    await engine.move('r', 'third', 10); // loses 11 and 12
    send('r', 'last');
    receiver.answer = () => OK;
    receiver.attempts.length = 0;
    await advance(60_000);
    expect(receiver.received).toEqual([...seqs(3, 6), 'gap 7-8 epoch', ...seqs(7, 10), 'gap 11-12 epoch', '11']);
    const epochs = receiver.attempts.map(({ body }) => body.epoch);
    expect(epochs.slice(2)).toEqual(['second', 'second', 'third']);
  });

  test('an unknown epoch loses everything', async () => {
    const store = new LocalCursors({ webhooks: ['hook'] });
    store.create('hook', 'r', { epoch: 'gone', seq: 3 });
    const { receiver, send, settle } = await startWebhooks({ store });
    send('r', 'a');
    await settle();
    expect(receiver.received).toEqual(['gap 1-3 epoch', '1']);
  });
});

describe('a cursor', () => {
  test('begins with the first message after the webhook was configured', async () => {
    const engine = new TestEngine();
    engine.open({ committed() {}, decided() {}, moved() {}, skipped() {}, changed() {} });
    engine.send(engine, 'r', 'old');
    const { receiver, send, settle } = await startWebhooks({ engine });
    send('r', 'new');
    await settle();
    expect(receiver.received).toEqual(['2']);
  });

  test('begins with the oldest stored message where the webhook says so', async () => {
    const engine = new TestEngine();
    engine.open({ committed() {}, decided() {}, moved() {}, skipped() {}, changed() {} });
    engine.send(engine, 'r', 'trimmed', 'old');
    engine.trim('r', 2);
    const { receiver, send, settle } = await startWebhooks({ engine, from: 'start' });
    send('r', 'new');
    await settle();
    expect(receiver.received).toEqual(['2', '3']);
  });

  test('goes on where it was in the next process, with the batch that may have been sent', async () => {
    const store = new LocalCursors({ webhooks: ['hook'] });
    const engine = new TestEngine();
    const first = await startWebhooks({ store, engine });
    first.send('r', 'a');
    await first.settle();
    first.receiver.answer = () => first.receiver.hang();
    first.send('r', 'b', 'c');
    await first.settle();
    first.send('r', 'd');
    await first.settle();
    // The first process ends here, without a word.
    const receiver = new TestReceiver(() => 0);
    const second = await startWebhooks({ store, engine, receiver });
    await second.settle();
    const [batch, next] = receiver.attempts;
    const sent = first.receiver.attempts.at(-1);
    expect([batch?.id, batch?.text]).toEqual([sent?.id, sent?.text]);
    expect(next?.body).toMatchObject({ messages: [{ seq: 4 }] });
  });

  test('is stored before the first attempt', async () => {
    const store = new LocalCursors({ webhooks: ['hook'] });
    const { receiver, send, settle } = await startWebhooks({ store });
    receiver.answer = ({ id }) => {
      expect(store.find('hook', 'r')?.batch).toEqual({ kind: 'messages', id, to: 2 });
      return OK;
    };
    send('r', 'a', 'b');
    await settle();
    expect(store.find('hook', 'r')).toMatchObject({ seq: 2 });
    expect(store.find('hook', 'r')?.batch).toBeUndefined();
  });
});

describe('a replay', () => {
  test('delivers again, with other ids, while a request is on its way', async () => {
    const { receiver, send, settle, webhooks } = await startWebhooks();
    send('r', ...texts(3));
    await settle();
    let finish = (_: typeof OK) => {};
    receiver.answer = () => new Promise((resolve) => (finish = resolve));
    send('r', 'd');
    await settle();
    await webhooks.replay('hook', { after: 1 });
    receiver.answer = () => OK;
    finish(OK);
    await settle();
    expect(receiver.received).toEqual(['1', '2', '3', '4', '2', '3', '4']);
    expect(new Set(receiver.attempts.map(({ id }) => id)).size).toBe(3);
  });

  test('moves back only what is further, and one room anywhere', async () => {
    const { receiver, send, settle, webhooks } = await startWebhooks();
    send('a', ...texts(3));
    send('b', 'x');
    await settle();
    expect(await webhooks.replay('hook', { after: 1 })).toEqual({ kind: 'replayed', rooms: 1 });
    await settle();
    receiver.answer = () => answer(500);
    send('a', 'poison', 'good');
    await settle();
    receiver.attempts.length = 0;
    receiver.answer = () => OK;
    expect(await webhooks.replay('hook', { after: 4, room: 'a' })).toEqual({ kind: 'replayed', rooms: 1 });
    await settle();
    expect(receiver.received).toEqual(['5']);
  });

  test('refuses what it cannot find', async () => {
    const { send, settle, webhooks } = await startWebhooks({ matches: (room) => room === 'a' });
    send('a', 'x');
    await settle();
    expect(await webhooks.replay('other', { after: 0 })).toEqual({ kind: 'unknown_webhook' });
    expect(await webhooks.replay('hook', { after: 0, room: 'b' })).toEqual({ kind: 'unknown_room' });
    expect(await webhooks.replay('hook', { after: 2, room: 'a' })).toEqual({ kind: 'beyond', head: 1 });
  });
});

test('an engine that fails delays the delivery, and is reported once', async () => {
  const { receiver, send, settle, advance, engine, lines } = await startWebhooks();
  engine.failsToRead = true;
  send('r', 'a');
  await settle();
  await advance(5_000);
  expect(lines.filter((line) => line.includes('the store is away'))).toHaveLength(1);
  engine.failsToRead = false;
  await advance(2_000);
  expect(receiver.received).toEqual(['1']);
});

describe('a stop', () => {
  test('waits for the attempts that run, stores what they acknowledge, and starts no other', async () => {
    const store = new LocalCursors({ webhooks: ['hook'] });
    const { receiver, send, settle, webhooks } = await startWebhooks({ store });
    let finish = (_: typeof OK) => {};
    receiver.answer = () => new Promise((resolve) => (finish = resolve));
    send('r', 'a');
    await settle();
    send('r', 'b');
    const stopped = webhooks.stop(5_000);
    await settle();
    finish(OK);
    await stopped;
    expect(receiver.received).toEqual(['1']);
    expect(store.find('hook', 'r')).toMatchObject({ seq: 1 });
  });

  test('aborts what takes longer than its time, and keeps its batch', async () => {
    const store = new LocalCursors({ webhooks: ['hook'] });
    const { receiver, send, settle, webhooks, advance } = await startWebhooks({ store });
    receiver.answer = () => receiver.hang();
    send('r', 'a');
    await settle();
    const stopped = webhooks.stop(5_000);
    await advance(5_000);
    await stopped;
    expect(receiver.aborts).toBe(1);
    expect(store.find('hook', 'r')).toMatchObject({ seq: 0, batch: { kind: 'messages', to: 1 } });
  });

  test('delivers what waits where the rooms end with the process', async () => {
    const store = new LocalCursors({ webhooks: ['hook'], forgets: true });
    const { receiver, send, settle, webhooks } = await startWebhooks({ store });
    send('r', ...texts(300));
    const stopped = webhooks.stop(5_000);
    await settle();
    await stopped;
    expect(receiver.received).toEqual(seqs(1, 300));
  });
});

test('a room of an engine that forgets it stays until it is delivered', async () => {
  const store = new LocalCursors({ webhooks: ['hook'], forgets: true });
  const { receiver, send, settle, advance, webhooks } = await startWebhooks({ store });
  receiver.answer = () => answer(500);
  send('r', 'a');
  await settle();
  webhooks.engine.release('r');
  expect(store.find('hook', 'r')).toBeDefined();
  receiver.answer = () => OK;
  await advance(3_000);
  expect(receiver.received.at(-1)).toBe('1');
  // Released with its cursor: the room may begin anew.
  expect(store.find('hook', 'r')).toBeUndefined();
});
