import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchesRoom, RoomTable, roomPatternProblem } from '../../src/protocol/room-pattern.ts';

describe('a room pattern', () => {
  it.each([
    ['lobby', 'lobby', true],
    ['lobby', 'lobby2', false],
    ['orders:*', 'orders:', true],
    ['orders:*', 'orders:eu:7', true],
    ['orders:*', 'orders', false],
    ['*', 'lobby', true],
    ['a*', 'a*', true],
  ])('%j matches the room %j: %s', (pattern, room, expected) => {
    expect(matchesRoom(pattern, room)).toBe(expected);
  });

  it('is a name or a prefix', () => {
    expect(['lobby', 'orders:*', '*'].map(roomPatternProblem)).toEqual([undefined, undefined, undefined]);
    expect(roomPatternProblem('')).toMatch(/^is empty/);
    expect(roomPatternProblem('*:eu')).toMatch(/^has a \* before its end/);
    expect(roomPatternProblem('orders:**')).toMatch(/^has a \* before its end/);
    expect(() => new RoomTable({ 'a*b': 1 })).toThrow(new RangeError(`"a*b" ${roomPatternProblem('a*b')}`));
  });
});

describe('RoomTable', () => {
  it('prefers a name to every prefix, and a longer prefix to a shorter one', () => {
    const table = new RoomTable({ '*': 'all', 'orders:*': 'orders', 'orders:eu:*': 'eu', 'orders:eu:7': 'seven' });
    const rooms = ['lobby', 'orders:us', 'orders:eu:70', 'orders:eu:7'];
    expect(rooms.map((room) => table.find(room))).toEqual(['all', 'orders', 'eu', 'seven']);
    expect(new RoomTable({ 'a*': 1 }).find('b')).toBeUndefined();
  });

  it('agrees with a model that tries every prefix of the name, longest first', () => {
    const name = fc.string({ unit: fc.constantFrom('a', 'b', ':'), maxLength: 4 });
    const pattern = fc.oneof(
      name.filter((text) => text !== ''),
      name.map((text) => `${text}*`),
    );
    fc.assert(
      fc.property(fc.dictionary(pattern, fc.nat()), name, (entries, room) => {
        const candidates = [room];
        for (let length = room.length; length >= 0; length--) candidates.push(`${room.slice(0, length)}*`);
        const expected = candidates.find((candidate) => Object.hasOwn(entries, candidate));
        const table = new RoomTable(entries);
        expect(table.find(room)).toBe(expected === undefined ? undefined : entries[expected]);
      }),
    );
  });
});
