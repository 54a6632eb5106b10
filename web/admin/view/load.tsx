import type { Figures } from '../state/figures.ts';
import { formatShare } from './format.ts';

const RESOURCES = [
  { figure: 'loop', label: 'Loop', bound: 0.7 },
  { figure: 'turn', label: 'Turn', bound: 0.5 },
  { figure: 'mailboxes', label: 'Mailboxes', bound: 0.1 },
  { figure: 'journal', label: 'Journal', bound: 0.1 },
] as const;

/** The share of each resource that is in use, with the end of what is normal. */
export function LoadBars({ figures }: { figures: Figures | undefined }) {
  return (
    <dl class="loads">
      {RESOURCES.map(({ figure, label, bound }) => {
        const share = figures?.[figure] ?? null;
        return (
          <div key={figure} data-over={share !== null && share >= bound}>
            <dt>{label}</dt>
            <dd>
              {formatShare(share)}
              <span class="visually-hidden"> of at most {formatShare(bound)}</span>
            </dd>
            <span class="track" aria-hidden="true">
              <i style={{ transform: `scaleX(${Math.min(1, share ?? 0)})` }} />
              <b style={{ left: `${100 * bound}%` }} />
            </span>
          </div>
        );
      })}
    </dl>
  );
}
