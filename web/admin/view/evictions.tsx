import type { Eviction } from '../../../src/protocol/snapshot.ts';
import type { Health } from '../state/health.ts';
import { visibleName } from '../state/names.ts';
import { hashOf } from '../state/route.ts';
import { formatTime, plural } from './format.ts';
import { Panel } from './panel.tsx';
import { TITLES } from './titles.ts';

const REASONS: Record<Eviction['reason'], string> = {
  too_far_behind: 'too far behind',
  write_timeout: 'accepted no data in time',
  other: 'closed by the server',
};

/** The slow consumers that were closed, the newest first. */
export function Evictions({ evictions, health }: { evictions: readonly Eviction[]; health: Health }) {
  return (
    <Panel
      name="evictions"
      title={TITLES.evictions}
      unit="the last 50, of all threads"
      health={health}
      normal="Normal: none, or a few."
      advice="Many at once point to a network. Clients that read too slowly come back and catch up."
    >
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard */}
      <section class="scroll" tabIndex={0} aria-label="List of evictions">
        <ol class="evictions">
          {evictions.map((eviction) => (
            <Row key={eviction.id} eviction={eviction} />
          ))}
        </ol>
        {evictions.length === 0 && <p class="empty">No client was evicted.</p>}
      </section>
    </Panel>
  );
}

function Row({ eviction: { at, session, user, room, reason, records } }: { eviction: Eviction }) {
  const who = visibleName(user);
  return (
    <li>
      <time dateTime={new Date(at).toISOString()}>{formatTime(at)}</time>
      <span class="who">
        {user !== '' && (
          <a href={hashOf({ kind: 'user', name: user })} title={who}>
            <bdi>{who}</bdi>
          </a>
        )}
        <a class="session" href={hashOf({ kind: 'session', id: session })} aria-label={`Session ${session}`}>
          {visibleName(session)}
        </a>
      </span>
      <span class="why">
        {REASONS[reason]}, {plural(records, 'message')} behind in{' '}
        <bdi title={visibleName(room)}>{visibleName(room)}</bdi>
      </span>
    </li>
  );
}
