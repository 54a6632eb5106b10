import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { announcement } from '../../web/admin/state/announcer.ts';
import { Board } from '../../web/admin/state/board.ts';
import { nearest } from '../../web/admin/state/cursor.ts';
import { figuresOf } from '../../web/admin/state/figures.ts';
import { History, WINDOW } from '../../web/admin/state/history.ts';
import { evictionsOf, snapshotAt, threadWith, troubledSnapshot } from '../browser/admin/snapshots.ts';

const figures = figuresOf(undefined, snapshotAt(0), 'all');

describe('a history', () => {
  test('keeps ten minutes of an hour', () => {
    const history = new History();
    for (let second = 0; second < 3600; second++) history.add(second, figures);
    expect(history.at.length).toBe(WINDOW + 1);
    expect(history.column('rss').length).toBe(history.at.length);
    expect(history.at.at(-1)).toBe(3599);
  });

  test('has a gap where snapshots are missing, and starts over with a clock that was set back', () => {
    const history = new History();
    for (const at of [1, 2, 10, 11]) history.add(at, figures);
    expect(history.at).toEqual([1, 2, 3, 10, 11]);
    expect(history.column('connections')).toEqual([0, 0, null, 0, 0]);
    history.add(5, figures);
    expect(history.at).toEqual([5]);
  });

  test('averages and sums the known values of some seconds', () => {
    const history = new History();
    for (const [at, connections] of [9, 1, null, 3].entries()) {
      history.add(at, figures && { ...figures, connections });
    }
    expect(history.mean('connections', 3)).toBe(2);
    expect(history.sum('connections', 3)).toBe(4);
    expect(history.mean('deliveries', 3)).toBeNull();
  });
});

test('the nearest time is found', () => {
  expect([-5, 1, 2.4, 2.6, 9].map((time) => nearest([1, 2, 3, 8], time))).toEqual([0, 0, 1, 2, 3]);
  expect(nearest([], 1)).toBe(-1);
});

describe('a board', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    announcement.value = '';
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('has no rates across a disconnection, and a gap in its history', () => {
    const board = new Board();
    const whole = (second: number) => ({ ...troubledSnapshot(second), missing: 0 });
    board.take(whole(1));
    board.take(whole(2));
    expect(board.moment.value?.figures?.deliveries).toBe(2 * 12_345_678);
    board.disconnected();
    board.take(whole(9));
    expect(board.moment.value?.figures?.deliveries).toBeNull();
    board.take(whole(10));
    expect(board.moment.value?.figures?.deliveries).toBe(2 * 12_345_678);
    board.scope.value = 1;
    expect(board.moment.value?.history.column('deliveries')).toEqual([null, 12_345_678, null, null, 12_345_678]);
  });

  test('leaves a gap in the sums of all workers while one is missing, and in all of its own figures', () => {
    const board = new Board();
    const threads = [1, 2].map((worker) => threadWith({ worker, connections: 5 }));
    board.take(snapshotAt(0, { threads }));
    board.take(snapshotAt(1, { threads: threads.slice(1), missing: 1 }));
    expect(board.moment.value?.history.column('connections')).toEqual([10, null]);
    expect(board.moment.value?.history.column('headroom')).toEqual([1, 1]);
    board.scope.value = 1;
    expect(board.moment.value?.history.column('connections')).toEqual([5, null]);
    expect(board.moment.value?.figures).toBeUndefined();
    board.scope.value = 2;
    expect(board.moment.value?.history.column('connections')).toEqual([5, 5]);
  });

  test('judges every panel', () => {
    const board = new Board();
    board.take(snapshotAt(0));
    board.take(snapshotAt(1));
    expect(new Set(Object.values(board.moment.value?.healths ?? {}))).toEqual(new Set(['normal', 'unknown']));
    const troubled = new Board();
    for (const second of [1, 2, 3]) troubled.take({ ...troubledSnapshot(second), missing: 0 });
    expect(troubled.moment.value?.healths).toEqual({
      load: 'act',
      turns: 'act',
      sends: 'watch',
      messages: 'act',
      deliveries: 'act',
      connections: 'act',
      members: 'act',
      lag: 'act',
      evictions: 'act',
      memory: 'normal',
    });
  });

  test('announces evictions that happen from then on, at most every five seconds', () => {
    const board = new Board();
    const all = evictionsOf(['e', 'd', 'c', 'b', 'a']);
    board.take(snapshotAt(0, { evictions: all.slice(3) }));
    vi.advanceTimersByTime(60_000);
    expect(announcement.value).toBe('');
    board.take(snapshotAt(1, { evictions: all.slice(2) }));
    board.take(snapshotAt(2, { evictions: all }));
    board.take(snapshotAt(3, { evictions: all }));
    expect(announcement.value).toBe('');
    vi.advanceTimersByTime(5_000);
    expect(announcement.value).toBe('3 clients were evicted.');
  });
});
