import * as v from 'valibot';

/** A number in the answer of all nodes. */
export function number(description: string) {
  return v.pipe(v.number(), v.integer(), v.description(description));
}

/** How many nodes and workers are not in an answer. */
export const missing = number(
  'How many nodes and workers did not answer within 2 seconds. What they have is not in the answer.',
);
