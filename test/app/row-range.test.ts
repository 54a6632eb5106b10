import { expect, test } from 'vitest';
import { rangeOf } from '../../web/app/view/row-range.ts';

const rowsTo = (count: number) => Array.from({ length: count }, (_, index) => ({ key: `${index}` }));
const keys = (from: number, to: number) =>
  new Set(
    rowsTo(to)
      .slice(from)
      .map(({ key }) => key),
  );

/** Returns the range of a log at its end that renders `from` to before `to`. */
const atEnd = (count: number, from: number, to: number, max = 300) => rangeOf(rowsTo(count), keys(from, to), max);
const scrolledBack = (count: number, from: number, to: number, key?: string) =>
  rangeOf(rowsTo(count), keys(from, to), 0, key);

test('keeps the rendered rows and adds the new ones', () => {
  expect(atEnd(104, 0, 100)).toEqual([0, 104]);
  expect(scrolledBack(108, 0, 100)).toEqual([0, 108]);
});

test('adds a few new rows at once at the end of the log, and more over the next frames', () => {
  expect(atEnd(108, 0, 100)).toEqual([0, 104]);
  expect(atEnd(108, 0, 104)).toEqual([0, 108]);
  expect(atEnd(130, 0, 100)).toEqual([0, 115]);
  expect(atEnd(308, 200, 300, 100)).toEqual([204, 304]);
});

test.each([1, 8, 16, 25])('adds as many rows in a frame as arrive, for %i in each, and none late', (arriving) => {
  let [start, end] = [0, 100];
  let count = 100;
  const added: number[] = [];
  for (let frame = 0; frame < 50; frame++) {
    count += arriving;
    const before = end;
    [start, end] = atEnd(count, start, end);
    added.push(end - before);
    expect(end - start).toBeGreaterThanOrEqual(100);
    expect(count - end).toBeLessThanOrEqual(30);
  }
  expect(Math.max(...added)).toBeLessThanOrEqual(Math.max(4, arriving));
  expect(added.at(-1)).toBe(arriving);
});

test('renders the newest of many rows first, and those before them in the next frames', () => {
  expect(atEnd(300, 0, 0)).toEqual([180, 300]);
  expect(atEnd(300, 0, 200)).toEqual([270, 300]);
  expect(atEnd(300, 270, 300)).toEqual([240, 300]);
  expect(rangeOf(rowsTo(300), new Set(['none of them']), 300)).toEqual([270, 300]);
  expect(atEnd(300, 200, 300, 100)).toEqual([200, 300]);
});

test('drops no row of a reader who has scrolled back, and renders more on both sides', () => {
  expect(scrolledBack(300, 100, 150)).toEqual([0, 150]);
  expect(scrolledBack(300, 10, 150)).toEqual([0, 240]);
  expect(scrolledBack(300, 0, 300)).toEqual([0, 300]);
});

test('renders the rows around one that has to be scrolled to', () => {
  expect(scrolledBack(300, 0, 0, '150')).toEqual([125, 190]);
  expect(scrolledBack(300, 270, 300, '20')).toEqual([0, 60]);
  expect(scrolledBack(300, 100, 150, '120')).toEqual([0, 150]);
  expect(scrolledBack(300, 100, 150, 'not among them')).toEqual([0, 150]);
});

test('renders all rows when none of them was rendered', () => {
  expect(scrolledBack(100, 0, 0)).toEqual([0, 100]);
  expect(scrolledBack(0, 0, 50)).toEqual([0, 0]);
  expect(atEnd(0, 0, 0)).toEqual([0, 0]);
});
