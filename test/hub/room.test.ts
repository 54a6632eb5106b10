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
