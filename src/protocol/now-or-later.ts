/**
 * A value, or a promise of one. Callers that can answer at once need not wait for a turn of the
 * event loop.
 */
export type NowOrLater<T> = T | Promise<T>;

/** Calls `next` with the value: at once, or when its promise resolves. */
export function andThen<T, R>(value: NowOrLater<T>, next: (value: T) => NowOrLater<R>): NowOrLater<R> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** Returns the value, or what `instead` returns when its promise rejects. */
export function orElse<T, R>(value: NowOrLater<T>, instead: () => NowOrLater<R>): NowOrLater<T | R> {
  return value instanceof Promise ? value.catch(instead) : value;
}

/** Returns all values: at once unless one of them is a promise. */
export function allOf<T>(values: readonly NowOrLater<T>[]): NowOrLater<readonly T[]> {
  return values.some((value) => value instanceof Promise) ? Promise.all(values) : (values as readonly T[]);
}
