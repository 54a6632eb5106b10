import { describeReport, explainEnd, spread } from '../protocol/explain-life.ts';
import type { ConnectionLife, LifeEvent, SessionLife, UserSessionsAnswer } from '../protocol/session-life.ts';

// Characters that a terminal would obey or not show: controls, formats and ends of lines.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

const AUTHENTICATIONS: Readonly<Record<ConnectionLife['authentication'], string>> = {
  none: 'as a guest',
  token: 'with a token',
  ticket: 'with the ticket of a sign-in',
  password: 'with a password',
  session: 'with the secret of its session',
  hook: 'as the connect hook decided',
};

/** Tells the lives of the connections in plain English, the newest first. */
export function tellSessions({ sessions, missing }: UserSessionsAnswer): string {
  const paragraphs = sessions.flatMap((session) => [
    headOf(session),
    ...session.connections.map((connection) => tellConnection(connection)),
  ]);
  if (missing > 0) {
    paragraphs.push(
      `${missing === 1 ? '1 node or worker' : `${missing} nodes or workers`} did not answer: more may be known there.`,
    );
  }
  return paragraphs.join('\n\n');
}

function headOf({ session, user, connections }: SessionLife): string {
  const count = connections.length === 1 ? '1 connection' : `${connections.length} connections, the newest first`;
  return `Session ${plain(session)} of ${plain(user)}: ${count}`;
}

function tellConnection(connection: ConnectionLife): string {
  const { openedAt, wire, remoteAddress, authentication, resumed, forgotten, events, roundTrips, cursors } = connection;
  const { end, report } = connection;
  const lines = [
    `${dateOf(openedAt)}  connected from ${plain(remoteAddress)} on the wire ${plain(wire)}, ${AUTHENTICATIONS[authentication]}${resumed ? ', and resumed its session' : ''}`,
  ];
  if (forgotten > 0)
    lines.push(`            ${forgotten} earlier ${forgotten === 1 ? 'event is' : 'events are'} no longer kept`);
  for (const event of events) lines.push(`  ${timeOf(event.at)}  ${tellEvent(event, end?.at)}`);
  if (roundTrips) {
    const { count, min, max, last } = roundTrips;
    const [, median] = spread(last.map(({ ms }) => ms));
    lines.push(
      `            answered ${count} ${count === 1 ? 'ping' : 'pings'}: ${min} to ${max} ms, median of the last ${last.length} ${median} ms`,
    );
  }
  for (const { room, seq, epoch, behind } of cursors) {
    const where = behind === 0 ? 'up to date' : `${behind} messages behind`;
    lines.push(`            in ${plain(room)}: received up to message ${seq} of epoch ${plain(epoch)}, ${where}`);
  }
  if (end) {
    const { at, code, reason, by } = end;
    const why = reason === '' ? '' : ` "${plain(reason)}"`;
    const side = by === 'server' ? 'the server' : 'the client or the network';
    lines.push(`  ${timeOf(at)}  closed by ${side} with ${code}${why}, after ${spanOf(at - openedAt)}`);
  } else lines.push(`            still open, since ${spanOf(Date.now() - openedAt)}`);
  const { meaning, advice } = explainEnd(connection);
  lines.push(`  Why:      ${meaning}`);
  lines.push(`  To do:    ${advice}`);
  if (report) lines.push(`  Client:   ${plain(describeReport(report))}`);
  else if (end) lines.push('  Client:   has not reported how it saw the end');
  return lines.join('\n');
}

function tellEvent(event: LifeEvent, ended: number | undefined): string {
  const room = event.room === undefined ? 'a room' : plain(event.room);
  switch (event.kind) {
    case 'joined':
      return `joined ${room}`;
    case 'left':
      return `left ${room}`;
    case 'parked': {
      const until = event.until ?? ended;
      const to = until === undefined ? 'until now' : `to ${timeOf(until)} (${spanOf(until - event.at)})`;
      return `parked in ${room} ${to}: its socket accepted no data, ${event.behind} messages behind at most`;
    }
    case 'refused': {
      const times = event.count === 1 ? '' : `, ${event.count} times to ${timeOf(event.last)}`;
      return `was sent the error ${event.code}${event.room === undefined ? '' : ` for ${room}`}${times}`;
    }
  }
}

/** Returns a text of a client's making without what a terminal would obey. */
function plain(text: string): string {
  return text.replaceAll(INVISIBLE, (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`);
}

function dateOf(at: number): string {
  return `${new Date(at).toISOString().slice(0, 10)} ${timeOf(at)} UTC`;
}

function timeOf(at: number): string {
  return new Date(at).toISOString().slice(11, 19);
}

function spanOf(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 120
    ? `${minutes} min ${Math.round(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
