import type { Advice } from './advice.ts';
import type { Scope } from './scope.ts';
import type { Walk } from './walk.ts';

/** Numbers and texts that a check has measured, as the JSON output has them. */
export type Measured = Readonly<Record<string, unknown>>;

/** The result of a check. */
export type Outcome =
  | { readonly kind: 'pass'; readonly detail: string; readonly measured?: Measured | undefined }
  | {
      readonly kind: 'warn' | 'fail';
      readonly detail: string;
      readonly measured?: Measured | undefined;
      /** What to change. */
      readonly advice: Advice;
    }
  | { readonly kind: 'skipped'; readonly detail: string };

/** The outcome of the check of that name. */
export type Finding = Outcome & { readonly name: string };

export interface Check {
  readonly name: string;
  /** Checks that must neither fail nor be skipped before this one. They are earlier in the list. */
  readonly needs: readonly string[];
  /**
   * Does not throw for what it examines. It ends by the deadline of the scope, which closes what it
   * has opened.
   */
  run(walk: Walk, scope: Scope): Promise<Outcome>;
}

export function pass(detail: string, measured?: Measured): Outcome {
  return { kind: 'pass', detail, measured };
}

export function warn(detail: string, advice: Advice, measured?: Measured): Outcome {
  return { kind: 'warn', detail, advice, measured };
}

export function fail(detail: string, advice: Advice, measured?: Measured): Outcome {
  return { kind: 'fail', detail, advice, measured };
}

export function skipped(detail: string): Outcome {
  return { kind: 'skipped', detail };
}
