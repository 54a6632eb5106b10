import { expect, test } from 'vitest';
import { memory } from '../../src/engine/memory.ts';
import { Room } from '../../src/hub/room.ts';
import { hubSettings } from '../../src/hub/settings.ts';
import { VirtualTime } from '../simulation/virtual.ts';

test('what the engine has committed and the room has not taken up yet is read by nobody', () => {
  const engine = memory();
  void engine.open({ committed() {}, failed() {} });
  const say = (count: number) =>
    engine.append(
      'r',
      Array.from({ length: count }, () => ({ room: 'r', from: 'a', id: '', data: 'x', bytes: 1 })),
    );
  say(2);
  const room = new Room('r', engine, hubSettings(), new VirtualTime());
  say(3);
  expect(room.recordsAfter(0).head).toBe(2);
  expect(room.read(0, 100).map(({ seq }) => seq)).toEqual([1, 2]);
  expect(room.read(4, 100)).toEqual([]);
});
