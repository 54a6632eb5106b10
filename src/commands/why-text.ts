import {
  AUTHENTICATED,
  describeCursor,
  describeEnd,
  describeEvent,
  describeReport,
  describeRoundTrips,
  explainEnd,
  type Formats,
  formatDuration,
} from '../protocol/explain-life.ts';
import type { ConnectionLife, SessionLife, UserSessionsAnswer } from '../protocol/session-life.ts';

// Characters that a terminal would obey or not show: controls, formats and ends of lines.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

const formats: Formats = { time: timeOf, name: plain };

// Of a line without a time.
const INDENT = ' '.repeat(10);

/** Tells the lives of the connections in plain English, the newest first. */
export function tellSessions({ sessions, missing }: UserSessionsAnswer): string {
  const paragraphs = sessions.flatMap((session) => [headOf(session), ...session.connections.map(tellConnection)]);
  if (missing > 0) {
    const nodes = missing === 1 ? '1 node or worker' : `${missing} nodes or workers`;
    paragraphs.push(`${nodes} did not answer in time, and may know of more.`);
  }
  return paragraphs.join('\n\n');
}

function headOf({ session, user, connections }: SessionLife): string {
  const count = connections.length === 1 ? '1 connection' : `${connections.length} connections, the newest first`;
  return `Session ${plain(session)} of ${plain(user)}: ${count}`;
}

function tellConnection(connection: ConnectionLife): string {
  const { openedAt, forgotten, events, roundTrips, cursors, end, report } = connection;
  const { meaning, advice } = explainEnd(connection);
  const ended = end && `  ${timeOf(end.at)}  ${describeEnd(end, formats)}, after ${formatDuration(end.at - openedAt)}`;
  return [
    openingOf(connection),
    ...(forgotten > 0 ? [`${INDENT}  (${forgotten} earlier events are no longer kept)`] : []),
    ...events.map((event) => `  ${timeOf(event.at)}  ${describeEvent(event, end?.at, formats)}`),
    ...(roundTrips ? [`${INDENT}  ${describeRoundTrips(roundTrips)}`] : []),
    ...cursors.map((cursor) => `${INDENT}  ${describeCursor(cursor, formats)}`),
    ended ?? `${INDENT}  still open, for ${formatDuration(Date.now() - openedAt)} now`,
    `  Why:      ${meaning}`,
    `  To do:    ${advice}`,
    ...(report ? [`  Client:   ${describeReport(report, formats)}`] : []),
    ...(end && !report ? ['  Client:   has not reported how it saw the end'] : []),
  ].join('\n');
}

function openingOf({ openedAt, wire, remoteAddress, authentication, resumed }: ConnectionLife): string {
  const date = new Date(openedAt).toISOString().slice(0, 10);
  const how = `${AUTHENTICATED[authentication]}${resumed ? ', and resumed its session' : ''}`;
  return `${date} ${timeOf(openedAt)} UTC, from ${plain(remoteAddress)} on the wire ${plain(wire)}\n  ${timeOf(openedAt)}  connected ${how}`;
}

/** Returns a text of a client's making without what a terminal would obey. */
function plain(text: string): string {
  return text.replaceAll(INVISIBLE, (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`);
}

/** The time of day in UTC. */
function timeOf(at: number): string {
  return new Date(at).toISOString().slice(11, 19);
}
