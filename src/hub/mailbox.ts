// Powers of two: positions wrap with a mask.
const INITIAL_SLOTS = 16;
const KEPT_SLOTS = 4096;

/**
 * A bounded queue in which each item keeps the ticket it arrived with, so that several mailboxes
 * can be read in one arrival order. Its memory grows as it fills and is released when it empties.
 */
export class Mailbox<T> {
  readonly capacity: number;
  #items: (T | undefined)[] = new Array(INITIAL_SLOTS);
  #tickets: number[] = new Array(INITIAL_SLOTS).fill(0);
  #head = 0;
  #size = 0;

  /** @param capacity how many items may wait; at least 1. */
  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get size(): number {
    return this.#size;
  }

  /** Ticket of the oldest item; Infinity for an empty mailbox. */
  get ticket(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#tickets[this.#head] as number);
  }

  /** Adds `item` unless the mailbox is full. @returns whether it was added. */
  post(item: T, ticket: number): boolean {
    if (this.#size >= this.capacity) return false;
    this.postAnyway(item, ticket);
    return true;
  }

  /** Adds `item` even past the capacity: for items whose number is bounded elsewhere. */
  postAnyway(item: T, ticket: number): void {
    if (this.#size === this.#items.length) this.#resize(this.#size * 2);
    const at = (this.#head + this.#size) & (this.#items.length - 1);
    this.#items[at] = item;
    this.#tickets[at] = ticket;
    this.#size++;
  }

  /** Removes and returns the oldest item. The mailbox must not be empty. */
  take(): T {
    const item = this.#items[this.#head] as T;
    this.#items[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#items.length - 1);
    if (--this.#size === 0 && this.#items.length > KEPT_SLOTS) this.#resize(INITIAL_SLOTS);
    return item;
  }

  #resize(length: number): void {
    const items: (T | undefined)[] = new Array(length);
    const tickets: number[] = new Array(length).fill(0);
    for (let i = 0; i < this.#size; i++) {
      const from = (this.#head + i) & (this.#items.length - 1);
      items[i] = this.#items[from];
      tickets[i] = this.#tickets[from] as number;
    }
    this.#items = items;
    this.#tickets = tickets;
    this.#head = 0;
  }
}

/** Several mailboxes with one arrival order: every post takes the next ticket. */
export class Mailboxes<M extends Record<string, unknown>> {
  readonly boxes: { readonly [K in keyof M]: Mailbox<M[K]> };
  readonly #names: readonly (keyof M)[];
  readonly #all: readonly Mailbox<unknown>[];
  #ticket = 0;

  constructor(capacities: { readonly [K in keyof M]: number }) {
    const all = Object.entries(capacities).map(([name, capacity]) => [name, new Mailbox(capacity)] as const);
    this.boxes = Object.fromEntries(all) as unknown as { [K in keyof M]: Mailbox<M[K]> };
    this.#names = all.map(([name]) => name);
    this.#all = all.map(([, box]) => box);
  }

  /** How many items wait in all mailboxes. */
  get size(): number {
    let size = 0;
    for (const box of this.#all) size += box.size;
    return size;
  }

  /** Adds an item with the next ticket. @returns false when the mailbox is full. */
  post<K extends keyof M>(name: K, item: M[K]): boolean {
    return this.boxes[name].post(item, this.#ticket++);
  }

  /** Adds an item even past the capacity: for items whose number is bounded elsewhere. */
  postAnyway<K extends keyof M>(name: K, item: M[K]): void {
    this.boxes[name].postAnyway(item, this.#ticket++);
  }

  /** Returns the mailbox whose oldest item arrived first; undefined when all are empty. */
  first(): keyof M | undefined {
    let first = -1;
    let lowest = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.#all.length; i++) {
      const { ticket } = this.#all[i] as Mailbox<unknown>;
      if (ticket >= lowest) continue;
      lowest = ticket;
      first = i;
    }
    return this.#names[first];
  }
}
