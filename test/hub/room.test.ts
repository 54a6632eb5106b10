import { expect, test } from 'vitest';
import { memory } from '../../src/engine/memory.ts';
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

test('Room reports a change of a record that is no longer in memory, and empties the edits of it', () => {
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
  expect(room.takeOutdated()).toBe(false);
  room.finishFlush();
  room.append([{ ...base, seq: 6, data: '', extra: { kind: 'change', op: 'delete', of: 1 } }], 0);
  expect([room.log.first, room.takeOutdated(), room.takeOutdated()]).toEqual([2, true, false]);
  expect(room.log.at(3)).toMatchObject({ data: '', extra: { replaced: true } });
});
