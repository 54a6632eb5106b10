import type { SessionAnswer } from '../../../src/protocol/session-life.ts';
import { type Loaded, useLives } from '../state/lives.ts';
import { visibleName } from '../state/names.ts';
import { hashOf } from '../state/route.ts';
import { Connection, Legend } from './connection.tsx';
import { plural } from './format.ts';

/** One session: its connections, the newest first. */
export function SessionView({ id }: { id: string }) {
  const answer = useLives<SessionAnswer>(`admin/v1/sessions/${encodeURIComponent(id)}`);
  return (
    <section class="lives" aria-busy={answer.kind === 'loading'}>
      <h1>
        Session <bdi>{visibleName(id)}</bdi>
      </h1>
      {answer.kind === 'found' ? <Session answer={answer.value} now={answer.at} /> : <Problem answer={answer} />}
    </section>
  );
}

function Session({ answer: { user, connections, missing }, now }: { answer: SessionAnswer; now: number }) {
  return (
    <>
      <p class="muted">
        {plural(connections.length, 'connection')} of{' '}
        <a href={hashOf({ kind: 'user', name: user })}>
          <bdi>{visibleName(user)}</bdi>
        </a>
        , the newest first
      </p>
      <Missing count={missing} />
      <Legend />
      {connections.map((life) => (
        <Connection key={`${life.openedAt} ${life.wire}`} life={life} now={now} heading="h2" />
      ))}
    </>
  );
}

/** A note that not all nodes and workers have answered. */
export function Missing({ count }: { count: number }) {
  return count === 0 ? null : (
    <p class="note">{plural(count, 'node or worker')} did not answer in time, and may know of more connections.</p>
  );
}

/** Why there is nothing to show. */
export function Problem({ answer }: { answer: Exclude<Loaded<unknown>, { kind: 'found' }> }) {
  if (answer.kind === 'loading') return <p class="muted">Loading…</p>;
  return (
    <p class="note" role="status">
      {answer.line}{' '}
      {answer.kind === 'absent' && 'The last 10,000 closed connections of each thread are kept, since its start.'}
    </p>
  );
}
