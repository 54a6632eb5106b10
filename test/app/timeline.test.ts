import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Entry,
  MAX_ENTRIES,
  type MessageEntry,
  type Missing,
  PAGE_SIZE,
  Timeline,
} from '../../web/app/state/timeline.ts';

const message = (seq: number, epoch = 'e'): MessageEntry => ({
  kind: 'message',
  key: `${epoch}:${seq}`,
  epoch,
  seq,
  id: '',
  from: 'ada',
  at: seq,
  text: `${seq}`,
});
const range = (from: number, to: number): MessageEntry[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => message(from + index));

const missing = (from: number, to: number): Missing => ({
  kind: 'missing',
  key: `e:${from}-${to}`,
  epoch: 'e',
  from,
  to,
  lost: false,
});

/** Returns the history page of a server that has the messages `first` to `seq - 1`. */
function pageBefore(seq: number, first: number) {
  const from = Math.max(first, seq - PAGE_SIZE);
  return { messages: range(from, seq - 1), more: from > first, from, to: seq - 1 };
}
/** Returns the history page of a server that has the messages `first` to `head`. */
function pageAfter(seq: number, first: number, head: number) {
  const from = Math.max(first, seq + 1);
  const to = Math.min(head, from + PAGE_SIZE - 1);
  return { messages: range(from, to), more: to < head, from, to };
}

/** Whether an entry is a lost message. */
const isLost = (entry: Entry) => entry.kind === 'message' && entry.lost === true;
/** Whether an entry reports lost messages. */
const isReport = (entry: Entry) => entry.kind === 'missing' && entry.lostCount !== undefined;

const seqs = (entries: readonly Entry[]) =>
  entries.flatMap((entry) => {
    if (entry.kind === 'message') return [entry.seq];
    if (entry.kind !== 'missing') return [];
    return range(entry.from, entry.to).map(({ seq }) => seq);
  });

describe('the timeline', () => {
  test('shows each message once, in order and without gaps, and is bounded', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('messages' as const), count: fc.integer({ min: 1, max: 150 }) }),
      fc.record({ kind: fc.constant('gap' as const), count: fc.integer({ min: 1, max: 500 }) }),
      fc.constantFrom({ kind: 'older' } as const, { kind: 'newer' } as const, { kind: 'latest' } as const),
      fc.constantFrom({ kind: 'scroll back' } as const, { kind: 'presence' } as const, { kind: 'fill' } as const),
      fc.constantFrom({ kind: 'fill from end' } as const, { kind: 'open' } as const),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 900 }), fc.array(step, { maxLength: 60 }), (start, steps) => {
        const timeline = new Timeline();
        let [head, scrolledBack, last] = [start, false, start];
        timeline.addOlder(pageBefore(head + 1, 1));
        for (const { kind, ...rest } of steps) {
          const count = 'count' in rest ? rest.count : 0;
          if (kind === 'messages') timeline.add(range(head + 1, head + count), scrolledBack);
          if (kind === 'gap') timeline.addMissing(missing(head + 1, head + count), scrolledBack);
          head += count;
          if (kind === 'messages') last = head;
          if (kind === 'open' && !timeline.detached && !timeline.reaches({ epoch: 'e', seq: 10 })) {
            timeline.showPage(pageAfter(0, 1, last));
            scrolledBack = true;
          }
          if (kind === 'older' && timeline.before) timeline.addOlder(pageBefore(timeline.before.seq, 1));
          if (kind === 'newer' && timeline.detached) {
            const place = timeline.showNewer();
            if (place) timeline.addNewer(pageAfter(place.seq, 1, last));
          }
          if (kind === 'latest') timeline.showLatest();
          if (kind === 'latest' || kind === 'scroll back') scrolledBack = kind === 'scroll back';
          if (kind === 'presence') timeline.addPresence(['bob'], [], scrolledBack);
          const gap = timeline.entries.find((entry) => entry.kind === 'missing');
          if (kind === 'fill' && gap) timeline.fill(gap, pageAfter(gap.from - 1, 1, last));
          if (kind === 'fill from end' && gap) timeline.fill(gap, pageBefore(gap.to + 1, 1), true, scrolledBack);

          const visible = seqs(timeline.entries);
          expect(timeline.entries.length).toBeLessThanOrEqual(MAX_ENTRIES);
          expect(visible.every((seq, at) => at === 0 || seq === (visible[at - 1] as number) + 1)).toBe(true);
          if (!timeline.detached) expect(visible.at(-1) ?? head).toBe(head);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('shows each message once and in order across failovers, and the loss of each failover', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('messages' as const), count: fc.integer({ min: 1, max: 150 }) }),
      fc.record({ kind: fc.constant('gap' as const), count: fc.integer({ min: 1, max: 50 }) }),
      fc.record({ kind: fc.constant('failover' as const), count: fc.integer({ min: 0, max: 200 }) }),
      fc.constantFrom({ kind: 'older' } as const, { kind: 'newer' } as const, { kind: 'latest' } as const),
      fc.constantFrom({ kind: 'scroll back' } as const, { kind: 'presence' } as const),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.array(step, { maxLength: 40 }), (start, steps) => {
        const timeline = new Timeline();
        let [head, term, scrolledBack] = [start, 0, false];
        const epoch = () => `log-${term}`;
        const between = (from: number, to: number) => range(from, to).map(({ seq }) => message(seq, epoch()));
        const page = (from: number, to: number, more: boolean) => ({ messages: between(from, to), more, from, to });
        const olderThan = (seq: number) => page(Math.max(1, seq - PAGE_SIZE), seq - 1, seq - PAGE_SIZE > 1);
        timeline.addOlder(olderThan(head + 1));
        for (const { kind, ...rest } of steps) {
          const count = 'count' in rest ? rest.count : 0;
          if (kind === 'messages') timeline.add(between(head + 1, head + count), scrolledBack);
          if (kind === 'gap') timeline.add([{ ...missing(head + 1, head + count), epoch: epoch() }], scrolledBack);
          if (kind === 'messages' || kind === 'gap') head += count;
          if (kind === 'older' && timeline.before) timeline.addOlder(olderThan(timeline.before.seq));
          if (kind === 'newer' && timeline.detached) {
            const place = timeline.showNewer();
            if (place) timeline.addNewer(page(place.seq + 1, Math.min(place.seq + PAGE_SIZE, head), true));
          }
          if (kind === 'latest') timeline.showLatest();
          if (kind === 'latest' || kind === 'scroll back') scrolledBack = kind === 'scroll back';
          if (kind === 'presence') timeline.addPresence(['bob'], [], scrolledBack);
          if (kind === 'failover') {
            const [previous, end] = [epoch(), Math.max(0, head - count)];
            const lost = count > 0 && head > 0 ? { from: end + 1, to: head } : undefined;
            term++;
            timeline.moveTo(previous, epoch(), lost, scrolledBack);
            head = end;
            const last = timeline.entries.at(-1);
            if (lost && !timeline.detached) expect(last).toMatchObject({ lostCount: lost.to - end });
          }

          const { entries } = timeline;
          const current = entries.filter((entry) => !isLost(entry));
          const visible = seqs(current);
          expect(entries.length).toBeLessThanOrEqual(MAX_ENTRIES);
          expect(new Set(entries.map(({ key }) => key)).size).toBe(entries.length);
          expect(visible.every((seq, at) => at === 0 || seq === (visible[at - 1] as number) + 1)).toBe(true);
          expect(current.every((entry) => !('epoch' in entry) || entry.epoch === epoch())).toBe(true);
          if (!timeline.detached && visible.length > 0) expect(visible.at(-1)).toBe(head);
          const reported = entries.slice(entries.findLastIndex(isLost)).some(isReport);
          if (entries.some(isLost) && !timeline.detached) expect(reported).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('reaches the first message by paging back, and the newest by paging forward', () => {
    const timeline = new Timeline();
    timeline.addOlder(pageBefore(10_001, 1));
    let pages = 0;
    for (let place = timeline.before; place; place = timeline.before, pages++)
      timeline.addOlder(pageBefore(place.seq, 1));
    expect(pages).toBe(99);
    expect(seqs(timeline.entries)[0]).toBe(1);
    while (timeline.detached && pages-- > -10) {
      const place = timeline.showNewer();
      if (place) timeline.addNewer(pageAfter(place.seq, 1, 10_000));
    }
    expect(timeline.detached).toBe(false);
    expect(seqs(timeline.entries).at(-1)).toBe(10_000);
  });

  test('stops paging back at the start of the server’s log', () => {
    const timeline = new Timeline();
    timeline.addOlder(pageBefore(101, 41));
    expect(timeline.before).toBeUndefined();
    expect(seqs(timeline.entries)).toEqual(range(41, 100).map(({ seq }) => seq));
  });

  test('keeps its entries when new messages arrive while scrolled back', () => {
    const timeline = new Timeline();
    timeline.add(range(1, MAX_ENTRIES), false);
    timeline.add(range(MAX_ENTRIES + 1, MAX_ENTRIES + 500), true);
    expect(timeline.detached).toBe(true);
    expect(seqs(timeline.entries)[0]).toBe(1);
    timeline.showLatest();
    expect(seqs(timeline.entries)[0]).toBe(501);
  });

  test('fills a gap with the messages that the server has, and marks the rest as lost', () => {
    const timeline = new Timeline();
    const gap = missing(11, 40);
    timeline.add([...range(1, 10), gap, ...range(41, 50)], false);
    timeline.fill(gap, { messages: range(21, 30), more: true, from: 21, to: 30 });
    const gaps = timeline.entries.filter((entry) => entry.kind === 'missing');
    expect(gaps.map(({ from, to, lost }) => [from, to, lost])).toEqual([
      [11, 20, true],
      [31, 40, false],
    ]);
    timeline.fill(gaps[1] as Missing, { messages: [], more: false, from: 1, to: 0 });
    expect(seqs(timeline.entries)).toEqual(range(1, 50).map(({ seq }) => seq));
    expect(timeline.entries.filter((entry) => entry.kind === 'missing' && !entry.lost)).toEqual([]);
  });

  test('fills a gap from its end, and marks what the server has lost', () => {
    const timeline = new Timeline();
    const gap = missing(11, 150);
    timeline.add([...range(1, 10), gap, ...range(151, 160)], false);
    timeline.fill(gap, pageBefore(151, 21), true);
    const [rest] = timeline.entries.filter((entry) => entry.kind === 'missing');
    expect(rest).toMatchObject({ from: 11, to: 50, lost: false });
    timeline.fill(rest as Missing, pageBefore(51, 21), true);
    expect(timeline.entries.filter((entry) => entry.kind === 'missing')).toMatchObject([
      { from: 11, to: 20, lost: true },
    ]);
    expect(seqs(timeline.entries)).toEqual(range(1, 160).map(({ seq }) => seq));
  });

  test('fills a gap at the end without leaving the newest message', () => {
    const timeline = new Timeline();
    const gap = missing(1, 500);
    timeline.add([gap, ...range(501, 750)], false);
    timeline.fill(gap, pageBefore(501, 1), true, false);
    expect(timeline.detached).toBe(false);
    expect(seqs(timeline.entries)).toEqual(range(451, 750).map(({ seq }) => seq));
  });

  test('keeps the entries around the reader when a gap far away is filled', () => {
    const timeline = new Timeline();
    const gap = missing(1, 500);
    timeline.add([gap, ...range(501, 750)], false);
    timeline.fill(gap, pageAfter(0, 1, 750), false, true, 'e:740');
    expect(timeline.entries.at(-1)).toMatchObject({ seq: 750 });
    expect(timeline.entries).toHaveLength(MAX_ENTRIES);
  });

  test('merges gaps that follow each other', () => {
    const timeline = new Timeline();
    timeline.addMissing(missing(1, 5), false);
    timeline.addMissing(missing(6, 9), false);
    timeline.addMissing({ ...missing(10, 12), lost: true }, false);
    expect(timeline.entries).toMatchObject([
      { from: 1, to: 9, lost: false },
      { from: 10, to: 12, lost: true },
    ]);
  });

  test('merges presence changes between two messages, and drops a user who joined and left', () => {
    const timeline = new Timeline();
    timeline.addPresence(['bob', 'carol'], [], false);
    timeline.addPresence(['dave'], ['bob', 'eve'], false);
    expect(timeline.entries).toMatchObject([{ joined: ['carol', 'dave'], left: ['eve'] }]);
    timeline.addPresence(['eve'], ['carol', 'dave'], false);
    expect(timeline.entries).toEqual([]);
    timeline.add(range(1, 1), false);
    timeline.addPresence(['bob'], [], false);
    timeline.add(range(2, 2), false);
    timeline.addPresence([], ['bob'], false);
    expect(timeline.entries.map(({ kind }) => kind)).toEqual(['message', 'presence', 'message', 'presence']);
  });

  test('does not mix messages of two epochs', () => {
    const timeline = new Timeline();
    timeline.add([...range(1, 5), message(1, 'f'), message(2, 'f')], false);
    expect(timeline.before).toBeUndefined();
    timeline.addOlder({ messages: [message(1, 'f')], more: false, from: 1, to: 1 });
    expect(timeline.entries.map(({ key }) => key)).toEqual(['e:1', 'e:2', 'e:3', 'e:4', 'e:5', 'f:1', 'f:2']);
  });

  test('marks lost messages, reports their number, and takes messages with the same numbers', () => {
    const timeline = new Timeline();
    timeline.add(range(1, 5), false);
    timeline.moveTo('e', 'f', { from: 4, to: 6 }, false);
    timeline.add([message(4, 'f'), message(5, 'f')], false);
    expect(
      timeline.entries.map((entry) => (entry.kind === 'message' ? [entry.epoch, entry.seq, entry.lost] : entry)),
    ).toEqual([
      ['f', 1, undefined],
      ['f', 2, undefined],
      ['f', 3, undefined],
      ['e', 4, true],
      ['e', 5, true],
      { kind: 'missing', key: expect.any(String), epoch: 'f', from: 4, to: 3, lost: true, lostCount: 3 },
      ['f', 4, undefined],
      ['f', 5, undefined],
    ]);
    expect(new Set(timeline.entries.map(({ key }) => key)).size).toBe(8);
  });

  test('keeps the report of an earlier loss in a later one', () => {
    const timeline = new Timeline();
    timeline.add(range(1, 5), false);
    timeline.moveTo('e', 'f', { from: 4, to: 5 }, false);
    timeline.moveTo('f', 'g', { from: 3, to: 3 }, false);
    expect(timeline.entries.filter(isReport)).toMatchObject([
      { epoch: 'g', from: 3, to: 2, lostCount: 2 },
      { epoch: 'g', from: 3, to: 2, lostCount: 1 },
    ]);
  });

  test('loads the messages before the lost ones if it has no others', () => {
    const timeline = new Timeline();
    timeline.addOlder({ messages: range(101, 103), more: true, from: 101, to: 103 });
    timeline.moveTo('e', 'f', { from: 101, to: 103 }, false);
    expect(timeline.before).toEqual({ epoch: 'f', seq: 101 });
    timeline.addOlder({ messages: [message(99, 'f'), message(100, 'f')], more: false, from: 99, to: 100 });
    expect(timeline.entries.map((entry) => (isReport(entry) ? 'lost' : entry.key))).toEqual([
      ...['f:99', 'f:100', 'e:101', 'e:102', 'e:103', 'lost'],
    ]);
    expect(timeline.before).toBeUndefined();
  });

  test('reports the loss also in the entries that the reader has scrolled back to', () => {
    const timeline = new Timeline();
    timeline.add(range(1, MAX_ENTRIES - 1), false);
    timeline.add(range(MAX_ENTRIES, 2 * MAX_ENTRIES), true);
    timeline.moveTo('e', 'f', { from: MAX_ENTRIES, to: 2 * MAX_ENTRIES }, true);
    expect(timeline.detached).toBe(true);
    expect(timeline.entries.slice(-2)).toMatchObject([
      { seq: MAX_ENTRIES, lost: true },
      { lostCount: MAX_ENTRIES + 1 },
    ]);
    timeline.showLatest();
    expect(timeline.entries.slice(-2)).toMatchObject([
      { seq: 2 * MAX_ENTRIES, lost: true },
      { lostCount: MAX_ENTRIES + 1 },
    ]);
  });

  test('fills a missing range in which some numbers are those of changes', () => {
    const timeline = new Timeline();
    timeline.addOlder(pageBefore(11, 1));
    timeline.addMissing({ ...missing(11, 40), atMost: true }, false);
    const gap = timeline.entries.find((entry) => entry.kind === 'missing') as Missing;
    timeline.fill(gap, { messages: [message(13), message(20)], more: true, from: 11, to: 25 });
    expect(timeline.entries.slice(10).map(({ key }) => key)).toEqual(['e:13', 'e:20', 'e:26-40']);
    const rest = timeline.entries.at(-1) as Missing;
    timeline.fill(rest, { messages: [], more: true, from: 30, to: 40 }, true);
    expect(timeline.entries.slice(12).map(({ key }) => key)).toEqual(['e:26-29']);
  });

  test('reaches the newest message by paging forward over more lost messages than it holds', () => {
    for (const [seen, head] of [
      [MAX_ENTRIES, 3 * MAX_ENTRIES],
      [MAX_ENTRIES - 20, 2 * MAX_ENTRIES],
    ] as const) {
      const timeline = new Timeline();
      timeline.add(range(1, head - MAX_ENTRIES), false);
      timeline.add(range(head - MAX_ENTRIES + 1, head), true);
      timeline.moveTo('e', 'f', { from: seen + 1, to: head }, true);
      timeline.add([message(seen + 1, 'f')], true);
      for (let pages = 0; timeline.detached && pages < 20; pages++) {
        const place = timeline.showNewer();
        if (place) timeline.addNewer({ messages: [], more: false, from: 1, to: 0 });
      }
      expect(timeline.detached).toBe(false);
      expect(timeline.entries.slice(-2)).toMatchObject([{ lostCount: head - seen }, { key: `f:${seen + 1}` }]);
    }
  });

  test('shortens a missing range that ends in the lost messages', () => {
    const timeline = new Timeline();
    timeline.add([...range(1, 2), missing(3, 6), message(7), missing(8, 9)], false);
    timeline.moveTo('e', 'f', { from: 5, to: 9 }, false);
    expect(timeline.entries.slice(2)).toMatchObject([
      { kind: 'missing', epoch: 'f', from: 3, to: 4 },
      { kind: 'message', lost: true },
      { kind: 'missing', epoch: 'f', from: 5, to: 4, lostCount: 5 },
    ]);
  });

  test('asks once for the messages before the start of the server’s log in the next epoch', () => {
    const timeline = new Timeline();
    timeline.addOlder(pageBefore(101, 41));
    timeline.moveTo('e', 'f', undefined, false);
    expect(timeline.entries.at(-1)).toEqual({ ...message(100), epoch: 'f' });
    expect(timeline.before).toEqual({ epoch: 'f', seq: 41 });
    timeline.addOlder({ messages: [], more: false, from: 1, to: 0 });
    expect(timeline.before).toBeUndefined();
  });

  test('moves no entry of an earlier log', () => {
    const timeline = new Timeline();
    timeline.add(range(1, 5), false);
    timeline.moveTo('f', 'g', { from: 1, to: 3 }, false);
    expect(timeline.entries).toEqual([...range(1, 5), expect.objectContaining({ epoch: 'g', lostCount: 3 })]);
  });

  test('does not apply the start of one epoch to the next', () => {
    const timeline = new Timeline();
    timeline.addOlder(pageBefore(101, 41));
    timeline.add(
      Array.from({ length: MAX_ENTRIES }, (_, index) => message(21 + index, 'f')),
      false,
    );
    expect(timeline.before).toEqual({ epoch: 'f', seq: 21 });
  });
});
