import type { History } from '../state/history.ts';
import { formatShare } from './format.ts';

const RESOURCES = [
  { figure: 'loop', label: 'loop', bound: 0.7 },
  { figure: 'turn', label: 'turn', bound: 0.5 },
  { figure: 'mailboxes', label: 'mailboxes', bound: 0.1 },
  { figure: 'journal', label: 'journal', bound: 0.1 },
] as const;

/**
 * The headroom, and the share of each resource that is in use, with a mark at the end of what is
 * normal.
 *
 * @param index of the moment in the history.
 */
export function LoadBars({ history, index }: { history: History; index: number }) {
  return (
    <dl class="loads legend">
      <div data-series="1">
        <dt>headroom</dt>
        <dd>{formatShare(history.column('headroom')[index])}</dd>
      </div>
      {RESOURCES.map(({ figure, label, bound }) => {
        const share = history.column(figure)[index] ?? null;
        return (
          <div key={figure} data-load={figure} data-over={share !== null && share >= bound}>
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
