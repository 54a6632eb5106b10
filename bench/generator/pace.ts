/**
 * An open loop: things are due at fixed times, whatever becomes of those before. One that is late keeps the time it was due
 * at, so that waiting shows in its round trip.
 */
export class Pace {
  readonly #timer: ReturnType<typeof setInterval>;

  /** @param rate a second. @param act is called for each, with the time it is due at. */
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
