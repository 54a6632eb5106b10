/** Keeps the pushes that arrive during a recovery, up to a bound. */
export class PushBuffer {
  readonly #maxBytes: number;
  #pushes: Buffer[] = [];
  #bytes = 0;
  #overflowed = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  keep(push: Buffer): void {
    this.#bytes += push.length;
    if (this.#bytes > this.#maxBytes) {
      this.clear();
      this.#overflowed = true;
    } else {
      this.#pushes.push(Buffer.from(push)); // a view would keep the whole chunk that was received
    }
  }

  clear(): void {
    this.#pushes = [];
    this.#bytes = 0;
    this.#overflowed = false;
  }

  /**
   * Passes the pushes to `take`, oldest first, until it returns false. The rest is dropped.
   *
   * @returns whether none is missing.
   */
  drain(take: (push: Buffer) => boolean): boolean {
    const pushes = this.#pushes;
    const overflowed = this.#overflowed;
    this.clear();
    return !overflowed && pushes.every(take);
  }
}
