import { describe, expect, test } from 'vitest';
import { memory } from '../../src/engine/memory.ts';
import type { LogRecord } from '../../src/hub/log.ts';
import { Room } from '../../src/hub/room.ts';
import { hubSettings } from '../../src/hub/settings.ts';
import { VirtualTime } from '../simulation/virtual.ts';

test('Room reads no record past its head, even if the engine has committed more', () => {
  const engine = memory();
  void engine.open({ committed() {}, decided() {}, moved() {}, skipped() {}, changed() {} });
  const append = (count: number) =>
    engine.append(
      'r',
      Array.from({ length: count }, () => ({ room: 'r', from: 'a', id: '', data: 'x', bytes: 1 })),
    );
  append(2);
  const room = new Room('r', engine.attach('r'), engine, hubSettings(), new VirtualTime());
  append(3);
  expect(room.read(0, 100)).toMatchObject([{ seq: 1 }, { seq: 2 }]);
  expect(room.read(4, 100)).toEqual([]);
});

test('Room drops what it has in memory when a change is lost, which records before it contain', () => {
  const engine = memory();
  void engine.open({ committed() {}, decided() {}, moved() {}, skipped() {}, changed() {} });
  const room = new Room('r', engine.attach('r'), engine, hubSettings(), new VirtualTime());
  const base = { at: 0, from: 'a', sender: 's', id: '', json: false, bytes: 1 };
  const change = { ...base, seq: 3, data: '', extra: { kind: 'change', op: 'delete', of: 1 } } as const;
  room.append([{ ...base, seq: 1, data: 'x' }, { ...base, seq: 2, data: 'y' }, change], 0);
  expect(room.log.at(1)).toMatchObject({ data: '', extra: { deleted: true } });
  room.moveTo({ epoch: 'e2', seq: 2 });
  expect([room.log.first, room.log.head]).toEqual([3, 2]);
  room.append([{ ...base, seq: 3, data: 'z' }], 0);
  room.moveTo({ epoch: 'e3', seq: 2 });
  expect([room.log.first, room.log.head]).toEqual([3, 2]);
});

test('Room reports the oldest record that has changed, and empties the edits of one not in memory', () => {
  const engine = memory();
  void engine.open({ committed() {}, decided() {}, moved() {}, skipped() {}, changed() {} });
  const one = { records: 1, bytes: 1 };
  const settings = hubSettings({ window: one, sendBuffer: one, turn: { commands: 1, bytes: 1 }, hold: one });
  const room = new Room('r', engine.attach('r'), engine, settings, new VirtualTime());
  const base = { at: 0, from: 'a', sender: 's', id: '', json: false, bytes: 1 };
  const edit = { ...base, seq: 3, data: 'secret', extra: { kind: 'change', op: 'edit', of: 1 } } as const;
  room.append([{ ...base, seq: 1, data: 'x' }, { ...base, seq: 2, data: 'y' }, edit], 0);
  room.append(
    [4, 5].map((seq) => ({ ...base, seq, data: 'z' })),
    0,
  );
  expect([room.takeChanged(), room.takeChanged()]).toEqual([1, undefined]);
  room.finishFlush();
  room.append([{ ...base, seq: 6, data: '', extra: { kind: 'change', op: 'delete', of: 1 } }], 0);
  expect([room.log.first, room.takeChanged(), room.takeChanged()]).toEqual([2, 1, undefined]);
  expect(room.log.at(3)).toMatchObject({ data: '', extra: { replaced: true } });
});

describe('Room with records that were read with later changes', () => {
  const base = { at: 0, from: 'a', sender: 's', id: '', json: false, bytes: 1 };
  const record = (seq: number, data: string, extra?: LogRecord['extra']): LogRecord => {
    const ordinary = { ...base, seq, data };
    return extra ? { ...ordinary, extra } : ordinary;
  };
  const edit = (seq: number, data: string) => record(seq, data, { kind: 'change', op: 'edit', of: 1 });
  const openRoom = () => {
    const engine = memory();
    void engine.open({ committed() {}, decided() {}, moved() {}, skipped() {}, changed() {} });
    return new Room('r', engine.attach('r'), engine, hubSettings(), new VirtualTime());
  };

  test('keeps the text of a message until the edit that has replaced the next one', () => {
    const room = openRoom();
    room.append([record(1, 'x'), record(2, '', { kind: 'change', op: 'edit', of: 1, replaced: true })], 0);
    expect(room.log.at(1)).toMatchObject({ data: 'x', extra: { changed: 2, edited: 2 } });
    room.append([edit(3, 'z')], 0);
    expect(room.log.at(1)).toMatchObject({ data: 'z', extra: { changed: 3, edited: 3 } });
  });

  test('empties an edit although its message has the next one already', () => {
    const room = openRoom();
    room.append([record(1, 'z', { kind: 'message', changed: 3, edited: 3 }), edit(2, 'secret'), edit(3, 'z')], 0);
    expect(room.log.at(2)).toMatchObject({ data: '', extra: { replaced: true } });
  });

  test('drops a message with a change that the log has lost, though the change has not come', () => {
    const room = openRoom();
    room.append([record(1, 'z', { kind: 'message', changed: 3, edited: 3 })], 0);
    room.moveTo({ epoch: 'e2', seq: 1 });
    expect([room.log.first, room.log.head]).toEqual([2, 1]);
  });

  test('reports a move that leaves members to read what they were not handed', () => {
    const room = openRoom();
    room.append([record(1, 'x'), record(2, 'y'), edit(3, 'z')], 0);
    expect(room.moveTo({ epoch: 'e2', seq: 2 })).toBe(false);
    expect([room.flushed, room.dirtySince]).toEqual([2, undefined]);
  });
});
