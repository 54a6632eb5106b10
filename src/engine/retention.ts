/** Bounds of each room's stored records. Both apply, but the newest record always stays. */
export interface Retention {
  /** Maximum age, in milliseconds. */
  readonly ms: number;
  /** Maximum size of the records' data, in bytes. */
  readonly bytes: number;
}

/** Returns the bounds of a room. */
export type RetentionOf = (room: string) => Retention;

const WEEK_MS = 7 * 24 * 60 * 60 * 1000;
const defaultRetention: Retention = { ms: WEEK_MS, bytes: 64 * 1024 * 1024 };

/** Returns the function that finds the bounds of a room. Those of all rooms may be the same. */
export function retentionOf(retention: Retention | RetentionOf = defaultRetention): RetentionOf {
  return typeof retention === 'function' ? retention : () => retention;
}
