import { expect, test } from 'vitest';
import { type RangeOptions, rangeOf } from '../../web/app/view/row-range.ts';

const rowsTo = (count: number) => Array.from({ length: count }, (_, index) => ({ key: `${index}` }));
const keys = (from: number, to: number) =>
  new Set(
    rowsTo(to)
      .slice(from)
      .map(({ key }) => key),
  );

/** The options of a log at its end that renders `from` to before `to`. */
const atEnd = (from: number, to: number): RangeOptions => ({
  rendered: keys(from, to),
  atEnd: true,
  max: 300,
  key: undefined,
});
const scrolledBack = (from: number, to: number): RangeOptions => ({ ...atEnd(from, to), atEnd: false });

test('keeps the rendered rows and adds the new ones', () => {
  expect(rangeOf(rowsTo(108), atEnd(0, 100))).toEqual([0, 108]);
  expect(rangeOf(rowsTo(108), scrolledBack(0, 100))).toEqual([0, 108]);
});

test('renders the newest of many rows first, and those before them in the next frames', () => {
  expect(rangeOf(rowsTo(300), atEnd(0, 0))).toEqual([270, 300]);
  expect(rangeOf(rowsTo(300), atEnd(0, 200))).toEqual([270, 300]);
  expect(rangeOf(rowsTo(300), atEnd(270, 300))).toEqual([240, 300]);
  expect(rangeOf(rowsTo(300), { ...atEnd(200, 300), max: 100 })).toEqual([200, 300]);
  expect(rangeOf(rowsTo(308), { ...atEnd(200, 300), max: 100 })).toEqual([208, 308]);
  expect(rangeOf(rowsTo(300), { ...atEnd(0, 0), budget: 120 })).toEqual([180, 300]);
});

test('drops no row of a reader who has scrolled back, and renders more on both sides', () => {
  expect(rangeOf(rowsTo(300), scrolledBack(100, 150))).toEqual([50, 150]);
  expect(rangeOf(rowsTo(300), scrolledBack(10, 150))).toEqual([0, 190]);
  expect(rangeOf(rowsTo(300), scrolledBack(0, 300))).toEqual([0, 300]);
});

test('renders the rows around one that has to be scrolled to', () => {
  expect(rangeOf(rowsTo(300), { ...scrolledBack(0, 0), key: '150' })).toEqual([125, 190]);
  expect(rangeOf(rowsTo(300), { ...scrolledBack(270, 300), key: '20' })).toEqual([0, 60]);
  expect(rangeOf(rowsTo(300), { ...scrolledBack(100, 150), key: '120' })).toEqual([50, 150]);
  expect(rangeOf(rowsTo(300), { ...scrolledBack(100, 150), key: 'not among them' })).toEqual([50, 150]);
});

test('renders all rows when none of them was rendered', () => {
  expect(rangeOf(rowsTo(100), scrolledBack(0, 0))).toEqual([0, 100]);
  expect(rangeOf([], scrolledBack(0, 50))).toEqual([0, 0]);
  expect(rangeOf([], atEnd(0, 0))).toEqual([0, 0]);
});
