/**
 * An open loop: calls a function at a fixed rate, regardless of the outcome of earlier calls. A
 * call that is late receives the time at which it was due, so that any delay becomes part of the
 * measured round trip.
 */
export class Pace {
  readonly #timer: ReturnType<typeof setInterval>;

  /** @param rate calls per second. @param act receives the time at which each call is due. */
  constructor(rate: number, act: (due: number) => void) {
    const start = performance.now();
    let done = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - start) / 1000) * rate);
      while (done < due) act(start + (++done / rate) * 1000);
    }, 1);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
