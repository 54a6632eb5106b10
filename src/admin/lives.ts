import { json, plainText } from '../http/responses.ts';
import type {
  ConnectionLife,
  EndReport,
  FoundLives,
  SessionAnswer,
  SessionLife,
  SessionReport,
  UserSessionsAnswer,
} from '../protocol/session-life.ts';
import { USER_BYTES } from '../protocol/v1.ts';
import type { HttpResponse } from '../transport/transport.ts';

/** Asks all nodes and workers for the connections of a session or of a user. Never rejects. */
export type FindLives = (query: {
  readonly by: 'session' | 'user';
  readonly name: string;
}) => Promise<{ readonly answers: readonly FoundLives[]; readonly missing: number }>;

const SESSION_PATH = /^\/admin\/v1\/sessions\/([^/]*)$/;
const USER_PATH = /^\/admin\/v1\/users\/([^/]*)\/sessions$/;

const SESSION_ID = /^[\w-]{1,64}$/;

// What the clocks of two nodes may differ by.
const TOLERANCE_MS = 5_000;

// What two readings of one time may differ by.
const ROUNDING_MS = 2;

/** Returns a function that answers a request for the lives of connections, for their paths. */
export function answerLives(path: string, find: FindLives): (() => Promise<HttpResponse>) | undefined {
  const session = SESSION_PATH.exec(path)?.[1];
  if (session !== undefined) return () => answerSession(decode(session), find);
  const user = USER_PATH.exec(path)?.[1];
  return user === undefined ? undefined : () => answerUser(decode(user), find);
}

async function answerSession(session: string | undefined, find: FindLives): Promise<HttpResponse> {
  if (session === undefined || !SESSION_ID.test(session)) {
    return plainText(400, 'session: must be the id of a session, 1 to 64 letters, digits, - and _');
  }
  const { answers, missing } = await find({ by: 'session', name: session });
  const [life] = sessionsOf(answers);
  if (life === undefined) return notFound('no connection of this session is remembered', missing);
  return json({ ...life, missing } satisfies SessionAnswer);
}

async function answerUser(user: string | undefined, find: FindLives): Promise<HttpResponse> {
  if (user === undefined || user === '' || Buffer.byteLength(user) > USER_BYTES) {
    return plainText(400, `user: must be a name of 1 to ${USER_BYTES} bytes, percent-encoded`);
  }
  const { answers, missing } = await find({ by: 'user', name: user });
  const sessions = sessionsOf(answers);
  if (sessions.length === 0) return notFound('no connection of this user is remembered', missing);
  return json({ user, sessions, missing } satisfies UserSessionsAnswer);
}

function notFound(what: string, missing: number): HttpResponse {
  return plainText(404, missing === 0 ? what : `${what}, and ${missing} nodes or workers did not answer`);
}

/** @returns undefined for text that is not percent-encoded UTF-8. */
function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Merges the answers into sessions, the newest connection first, with the reports in place. */
function sessionsOf(answers: readonly FoundLives[]): readonly SessionLife[] {
  const connections = answers.flatMap((answer) => answer.connections).sort((a, b) => b.openedAt - a.openedAt);
  const reports = answers.flatMap((answer) => answer.reports);
  return [...new Set(connections.map(({ session }) => session))].map((session): SessionLife => {
    const theirs = connections.filter((connection) => connection.session === session);
    const reported = reports.filter((each) => each.session === session);
    return { session, user: (theirs[0] as ConnectionLife).user, connections: withReports(theirs, reported) };
  });
}

/**
 * Gives each report to the connection that it is about: the newest of those that had opened when
 * the client saw the end. The report itself came over a later one, perhaps to another node.
 */
function withReports(
  connections: readonly ConnectionLife[],
  reports: readonly SessionReport[],
): readonly ConnectionLife[] {
  const about = new Map<ConnectionLife, EndReport>();
  for (const { report, over = report.at } of [...reports].sort((a, b) => b.report.at - a.report.at)) {
    const ended = report.at - report.away;
    const started = ended - report.after;
    const latest = Math.min(ended, over - ROUNDING_MS);
    const subject = connections.find((connection) => connection.openedAt <= latest && !about.has(connection));
    // The connection itself may be forgotten: an earlier one had ended before it started.
    const isIt = subject && (subject.end === undefined || subject.end.at >= started - TOLERANCE_MS);
    if (isIt) about.set(subject, report);
  }
  return connections.map((connection) => {
    const report = about.get(connection);
    return report === undefined ? connection : { ...connection, report };
  });
}
