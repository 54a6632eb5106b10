import type { UserSessionsAnswer } from '../../../src/protocol/session-life.ts';
import { useLives } from '../state/lives.ts';
import { visibleName } from '../state/names.ts';
import { hashOf } from '../state/route.ts';
import { Connection, Legend } from './connection.tsx';
import { plural } from './format.ts';
import { Missing, Problem } from './session.tsx';

// Further connections of a session are on its own page.
const CONNECTIONS = 5;

/** The sessions of a user, the one with the newest connection first. */
export function UserView({ name }: { name: string }) {
  const answer = useLives<UserSessionsAnswer>(`admin/v1/users/${encodeURIComponent(name)}/sessions`);
  return (
    <section class="lives" aria-busy={answer.kind === 'loading'}>
      <h1>
        User <bdi>{visibleName(name)}</bdi>
      </h1>
      {answer.kind === 'found' ? <Sessions answer={answer.value} now={answer.at} /> : <Problem answer={answer} />}
    </section>
  );
}

function Sessions({ answer: { sessions, missing }, now }: { answer: UserSessionsAnswer; now: number }) {
  return (
    <>
      <p class="muted">{plural(sessions.length, 'session')}, the one with the newest connection first</p>
      <Missing count={missing} />
      <Legend />
      {sessions.map(({ session, connections }) => (
        <section key={session} class="lives">
          <h2>
            Session{' '}
            <a href={hashOf({ kind: 'session', id: session })}>
              <bdi>{visibleName(session)}</bdi>
            </a>
            , {plural(connections.length, 'connection')}
          </h2>
          {connections.slice(0, CONNECTIONS).map((life) => (
            <Connection key={`${life.openedAt} ${life.wire}`} life={life} now={now} heading="h3" />
          ))}
          {connections.length > CONNECTIONS && (
            <p class="muted">
              {plural(connections.length - CONNECTIONS, 'earlier connection')}: see{' '}
              <a href={hashOf({ kind: 'session', id: session })}>the session</a>
            </p>
          )}
        </section>
      ))}
    </>
  );
}
