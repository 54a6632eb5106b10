import type { Faults, Violation } from './generator/audit.ts';

/** The order in which an auditing client received the messages of its room. */
export interface ClientOrder {
  readonly room: number;
  readonly node: number;
  /** Clients with the same order have the same hash. */
  readonly hash: number;
  /**
   * The messages, each as a number. Undefined if it is not kept, or if another client of the room
   * has the same hash and the messages.
   */
  readonly messages: readonly number[] | undefined;
}

/** How the orders that clients of different nodes received compare. */
export interface OrderCheck {
  /** Whether the server must show one order to the clients of all nodes. */
  readonly promised: boolean;
  /** Clients that were compared with a client of the same room on another node. */
  readonly clients: number;
  /** How many of them received another order. */
  readonly differing: number;
  /** Messages that these clients received. */
  readonly messages: number;
  /** The smallest number of these messages to move to obtain the order of the other clients. */
  readonly reordered: number;
}

/** The outcome of comparing all orders. */
export interface OrderVerdict {
  readonly check: OrderCheck;
  readonly swapped: Faults['swapped'];
  readonly violations: readonly Violation[];
}

/**
 * Compares the orders of each room. Clients of one node must agree; those of different nodes must
 * agree if the server promises it. Differences between nodes are counted in any case.
 */
export function compareOrders(orders: readonly ClientOrder[], promised: boolean): OrderVerdict {
  const byRoom = new Map<number, ClientOrder>();
  const byNode = new Map<string, ClientOrder>();
  const violations: Violation[] = [];
  let [clients, differing, messages, reordered] = [0, 0, 0, 0];
  for (const order of orders) {
    const { room, node, hash } = order;
    const first = firstOf(byRoom, room, order);
    const sameNode = firstOf(byNode, `${room} ${node}`, order);
    if (hash !== sameNode.hash) {
      violations.push(violation(`two clients of room ${room} received the same messages in different orders`));
    } else if (node !== first.node) {
      clients++;
      const [reference, own] = [messagesOf(orders, first), messagesOf(orders, order)];
      messages += own.length;
      if (hash === first.hash) continue;
      differing++;
      reordered += reorderedIn(own, reference);
      if (promised) violations.push(violation(`clients of room ${room} on two nodes received different orders`));
    }
  }
  return { check: { promised, clients, differing, messages, reordered }, swapped: violations.length, violations };
}

/** @returns the value of a key, which is `value` if there was none. */
function firstOf<K>(map: Map<K, ClientOrder>, key: K, value: ClientOrder): ClientOrder {
  const existing = map.get(key);
  if (!existing) map.set(key, value);
  return existing ?? value;
}

function messagesOf(orders: readonly ClientOrder[], { room, hash, messages }: ClientOrder): readonly number[] {
  if (messages) return messages;
  return orders.find((other) => other.room === room && other.hash === hash && other.messages)?.messages ?? [];
}

/** @returns the smallest number of messages to move to obtain the order of the reference. */
function reorderedIn(messages: readonly number[], reference: readonly number[]): number {
  const placeOf = new Map(reference.map((message, place) => [message, place]));
  const places = messages.flatMap((message) => placeOf.get(message) ?? []);
  return places.length - longestIncreasing(places);
}

/** @returns the length of the longest increasing subsequence, found by patience sorting. */
function longestIncreasing(values: readonly number[]): number {
  /** By length, the lowest value with which an increasing subsequence ends. */
  const ends: number[] = [];
  for (const value of values) {
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ends[middle] as number) < value) low = middle + 1;
      else high = middle;
    }
    ends[low] = value;
  }
  return ends.length;
}

const violation = (what: string): Violation => ({ at: Date.now(), what });
