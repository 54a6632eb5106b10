import { advise } from '../advice.ts';
import { fail, type Outcome } from '../check.ts';
import type { Opening } from '../session.ts';

/** The outcome of a check whose connection fails, after those of earlier checks opened. */
export function failedOpening(opening: Exclude<Opening, { readonly kind: 'welcome' }>): Outcome {
  const advice = advise(
    'Earlier connections opened: a limit or a rule stops further ones. The log of the server has the reason.',
  );
  switch (opening.kind) {
    case 'refused':
      return fail(`closed with ${opening.close.code} before the welcome`, advice);
    case 'rejected':
      return fail(`HTTP ${opening.status} instead of 101`, advice);
    case 'silent':
      return fail('no welcome in time', advice);
    default:
      return fail(opening.detail, advice);
  }
}
