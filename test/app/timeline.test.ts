import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Entry, KEEP, type Missing, PAGE, type Said, Timeline } from '../../web/app/state/timeline.ts';

const said = (seq: number, epoch = 'e'): Said => ({
  kind: 'said',
  key: `${epoch}:${seq}`,
  epoch,
  seq,
  id: '',
  from: 'ada',
  at: seq,
  text: `${seq}`,
});
const range = (from: number, to: number): Said[] =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => said(from + index));

const missing = (from: number, to: number): Missing => ({
  kind: 'missing',
  key: `e:${from}-${to}`,
  epoch: 'e',
  from,
  to,
  why: 'slow',
  lost: false,
});

/** What a server would answer that has the messages `first`…`head`. */
function pageBefore(seq: number, first: number) {
  const from = Math.max(first, seq - PAGE);
  return { messages: range(from, seq - 1), more: from > first };
}
function pageAfter(seq: number, first: number, head: number) {
  const from = Math.max(first, seq + 1);
  const to = Math.min(head, from + PAGE - 1);
  return { messages: range(from, to), more: to < head };
}

const seqs = (entries: readonly Entry[]) =>
  entries.flatMap((entry) => {
    if (entry.kind === 'said') return [entry.seq];
    if (entry.kind !== 'missing') return [];
    return range(entry.from, entry.to).map(({ seq }) => seq);
  });

describe('the window on a room’s log', () => {
  test('whatever one does, it shows each message once and in order, without a hole, and is bounded', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('said' as const), count: fc.integer({ min: 1, max: 150 }) }),
      fc.record({ kind: fc.constant('skipped' as const), count: fc.integer({ min: 1, max: 500 }) }),
      fc.constantFrom({ kind: 'older' } as const, { kind: 'newer' } as const, { kind: 'latest' } as const),
      fc.constantFrom({ kind: 'back' } as const, { kind: 'coming' } as const, { kind: 'fill' } as const),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 900 }), fc.array(step, { maxLength: 60 }), (start, steps) => {
        const timeline = new Timeline();
        let [head, held, last] = [start, false, start];
        timeline.addOlder(pageBefore(head + 1, 1));
        for (const { kind, ...rest } of steps) {
          const count = 'count' in rest ? rest.count : 0;
          if (kind === 'said') timeline.add(range(head + 1, head + count), held);
          if (kind === 'skipped') timeline.add([missing(head + 1, head + count)], held);
          head += count;
          if (kind === 'said') last = head;
          if (kind === 'older' && timeline.before) timeline.addOlder(pageBefore(timeline.before.seq, 1));
          if (kind === 'newer' && timeline.detached) {
            const place = timeline.showNewer();
            if (place) timeline.addNewer(pageAfter(place.seq, 1, last));
          }
          if (kind === 'latest') timeline.showLatest();
          if (kind === 'latest' || kind === 'back') held = kind === 'back';
          if (kind === 'coming') timeline.mergeComing(['bob'], [], held);
          const gap = timeline.entries.find((entry) => entry.kind === 'missing');
          if (kind === 'fill' && gap) timeline.fill(gap, pageAfter(gap.from - 1, 1, last));

          const shown = seqs(timeline.entries);
          expect(timeline.entries.length).toBeLessThanOrEqual(KEEP);
          expect(shown.every((seq, at) => at === 0 || seq === (shown[at - 1] as number) + 1)).toBe(true);
          if (!timeline.detached) expect(shown.at(-1) ?? head).toBe(head);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('paging back comes to the first message, and paging on to the newest', () => {
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

  test('it knows where the server’s log begins', () => {
    const timeline = new Timeline();
    timeline.addOlder(pageBefore(101, 41));
    expect(timeline.before).toBeUndefined();
    expect(seqs(timeline.entries)).toEqual(range(41, 100).map(({ seq }) => seq));
  });

  test('what is read is not pushed out by what comes, and is found again after it', () => {
    const timeline = new Timeline();
    timeline.add(range(1, KEEP), false);
    timeline.add(range(KEEP + 1, KEEP + 500), true);
    expect(timeline.detached).toBe(true);
    expect(seqs(timeline.entries)[0]).toBe(1);
    timeline.showLatest();
    expect(seqs(timeline.entries)[0]).toBe(501);
  });

  test('a gap is filled by what the server has of it, and the rest is told', () => {
    const timeline = new Timeline();
    const gap = missing(11, 40);
    timeline.add([...range(1, 10), gap, ...range(41, 50)], false);
    timeline.fill(gap, { messages: range(21, 30), more: true });
    const told = timeline.entries.filter((entry) => entry.kind === 'missing');
    expect(told.map(({ from, to, lost }) => [from, to, lost])).toEqual([
      [11, 20, true],
      [31, 40, false],
    ]);
    timeline.fill(told[1] as Missing, { messages: [], more: false });
    expect(seqs(timeline.entries)).toEqual(range(1, 50).map(({ seq }) => seq));
    expect(timeline.entries.filter((entry) => entry.kind === 'missing' && !entry.lost)).toEqual([]);
  });

  test('who came and went between two messages is one entry, and nobody is in it who did both', () => {
    const timeline = new Timeline();
    timeline.mergeComing(['bob', 'carol'], [], false);
    timeline.mergeComing(['dave'], ['bob', 'eve'], false);
    expect(timeline.entries).toMatchObject([{ joined: ['carol', 'dave'], left: ['eve'] }]);
    timeline.mergeComing(['eve'], ['carol', 'dave'], false);
    expect(timeline.entries).toEqual([]);
    timeline.add(range(1, 1), false);
    timeline.mergeComing(['bob'], [], false);
    timeline.add(range(2, 2), false);
    timeline.mergeComing([], ['bob'], false);
    expect(timeline.entries.map(({ kind }) => kind)).toEqual(['said', 'coming', 'said', 'coming']);
  });

  test('another life of the log does not mix with the one before', () => {
    const timeline = new Timeline();
    timeline.add([...range(1, 5), said(1, 'f'), said(2, 'f')], false);
    expect(timeline.before).toBeUndefined();
    timeline.addOlder({ messages: [said(1, 'f')], more: false });
    expect(timeline.entries.map(({ key }) => key)).toEqual(['e:1', 'e:2', 'e:3', 'e:4', 'e:5', 'f:1', 'f:2']);
  });

  test('where one life of the log began says nothing of the next', () => {
    const timeline = new Timeline();
    timeline.addOlder(pageBefore(101, 41));
    timeline.add(
      Array.from({ length: KEEP }, (_, index) => said(21 + index, 'f')),
      false,
    );
    expect(timeline.before).toEqual({ epoch: 'f', seq: 21 });
  });
});
