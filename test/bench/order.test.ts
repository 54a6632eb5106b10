import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ClientOrder, compareOrders } from '../../bench/order.ts';

/** @returns the order of a client, which has the same hash as an equal order. */
const orderOf = (node: number, messages: readonly number[], room = 0): ClientOrder => ({
  room,
  node,
  hash: messages.reduce((hash, message) => hash * 31 + message, 7),
  messages,
});

test('finds no difference between equal orders, and counts each client that was compared', () => {
  const orders = [orderOf(0, [1, 2, 3]), orderOf(1, [1, 2, 3]), orderOf(1, [1, 2, 3]), orderOf(1, [5, 6], 1)];
  expect(compareOrders(orders, true)).toEqual({
    check: { promised: true, clients: 2, differing: 0, messages: 6, reordered: 0 },
    swapped: 0,
    violations: [],
  });
});

test('counts orders that differ between nodes, which are a fault only where one order is promised', () => {
  const orders = [orderOf(0, [1, 2, 3, 4]), orderOf(1, [2, 1, 3, 4]), orderOf(1, [2, 1, 3, 4])];
  const check = { clients: 2, differing: 2, messages: 8, reordered: 2 };
  expect(compareOrders(orders, false)).toMatchObject({ check: { ...check, promised: false }, swapped: 0 });
  const promised = compareOrders(orders, true);
  expect(promised).toMatchObject({ check: { ...check, promised: true }, swapped: 2 });
  expect(promised.violations[0]?.what).toBe('clients of room 0 on two nodes received different orders');
});

test('requires one order of the clients of one node, whatever is promised', () => {
  const orders = [orderOf(0, [1, 2, 3]), orderOf(1, [1, 2, 3]), orderOf(1, [2, 1, 3])];
  for (const promised of [true, false]) {
    const { swapped, violations } = compareOrders(orders, promised);
    expect(swapped).toBe(1);
    expect(violations[0]?.what).toBe('two clients of room 0 received the same messages in different orders');
  }
});

test('takes the messages of an order from another client with the same hash', () => {
  const copy = { ...orderOf(1, [2, 1, 3]), messages: undefined };
  const orders = [orderOf(0, [1, 2, 3]), orderOf(1, [2, 1, 3]), copy];
  expect(compareOrders(orders, false).check).toMatchObject({ clients: 2, differing: 2, messages: 6, reordered: 2 });
});

test('counts the smallest number of messages to move', () => {
  const reordered = (messages: readonly number[]) =>
    compareOrders(
      [
        orderOf(
          0,
          messages.toSorted((a, b) => a - b),
        ),
        orderOf(1, messages),
      ],
      false,
    ).check.reordered;
  expect(reordered([9, 1, 2, 3, 4])).toBe(1);
  expect(reordered([4, 3, 2, 1])).toBe(3);
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(50), { minLength: 1, maxLength: 30 }), fc.nat(), (values, pick) => {
      const sorted = values.toSorted((a, b) => a - b);
      const [moved = 0] = sorted.splice(pick % sorted.length, 1);
      expect(reordered([...sorted, moved])).toBeLessThanOrEqual(1);
      expect(reordered(values) === 0).toBe(values.every((value, i) => i === 0 || value > (values[i - 1] as number)));
    }),
  );
});
