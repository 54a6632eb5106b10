import { type FigureName, type Figures, FLOWS, LEVELS } from './figures.ts';

/** Seconds that are kept, and that the charts show. */
export const WINDOW = 600;

// Snapshots come once a second. After a longer pause, the charts have a gap.
const MAX_PAUSE = 2.5;

const NAMES: readonly FigureName[] = [...LEVELS, ...FLOWS];

/** The figures of the last ten minutes, in columns, with a gap where there are none. */
export class History {
  /** Seconds since 1970, ascending. */
  readonly at: number[] = [];
  readonly #columns = new Map<FigureName, (number | null)[]>(NAMES.map((name) => [name, []]));

  /** Returns the column of a figure. It is as long as `at`, and changes with the next `add`. */
  column(name: FigureName): readonly (number | null)[] {
    return this.#columns.get(name) as (number | null)[];
  }

  /**
   * Adds the figures of a moment. A clock that was set back starts the history over.
   *
   * @param figures undefined for a gap.
   */
  add(at: number, figures: Figures | undefined): void {
    const last = this.at.at(-1);
    if (last !== undefined && at <= last) this.#keepFrom(this.at.length);
    else if (last !== undefined && at - last > MAX_PAUSE) this.#push(last + 1, undefined);
    this.#push(at, figures);
    this.#keepFrom(this.at.findIndex((time) => time >= at - WINDOW));
  }

  /** Returns the mean of the last values of a figure, or null if all of them are unknown. */
  mean(name: FigureName, seconds: number): number | null {
    const values = this.#last(name, seconds);
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  }

  /** Returns the sum of the last values of a figure; unknown ones count 0. */
  sum(name: FigureName, seconds: number): number {
    return this.#last(name, seconds).reduce((sum, value) => sum + value, 0);
  }

  #last(name: FigureName, seconds: number): number[] {
    const from = (this.at.at(-1) ?? 0) - seconds;
    const values: number[] = [];
    const column = this.column(name);
    for (let i = this.at.length - 1; i >= 0 && (this.at[i] as number) > from; i--) {
      const value = column[i];
      if (typeof value === 'number') values.push(value);
    }
    return values;
  }

  #push(at: number, figures: Figures | undefined): void {
    this.at.push(at);
    for (const [name, column] of this.#columns) column.push(figures?.[name] ?? null);
  }

  #keepFrom(index: number): void {
    if (index === 0) return;
    this.at.splice(0, index);
    for (const column of this.#columns.values()) column.splice(0, index);
  }
}
