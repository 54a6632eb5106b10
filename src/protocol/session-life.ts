import type { ErrorCode } from './v1.ts';

/**
 * How a connection was authenticated: not at all (`none`), by a token, by a ticket of a sign-in, by
 * a user name and a password, by the secret of the session that it resumes, or by the connect hook.
 */
export type AuthenticationKind = 'none' | 'token' | 'ticket' | 'password' | 'session' | 'hook';

/** A thing that happened to a connection. Times are in milliseconds since 1970. */
export type LifeEvent =
  /** It joined or left a room. */
  | { readonly kind: 'joined' | 'left'; readonly at: number; readonly room?: string | undefined }
  /** Its socket accepted no data, `behind` messages at most. Without `until` it still does not. */
  | {
      readonly kind: 'parked';
      readonly at: number;
      readonly until?: number | undefined;
      readonly room?: string | undefined;
      readonly behind: number;
    }
  /** It was sent the same error `count` times, from `at` to `last`. */
  | {
      readonly kind: 'refused';
      readonly at: number;
      readonly last: number;
      readonly code: ErrorCode;
      readonly count: number;
      readonly room?: string | undefined;
    };

/** The pings that a connection answered. Times and durations are in milliseconds. */
export interface RoundTrips {
  readonly count: number;
  readonly min: number;
  readonly max: number;
  /** The newest, oldest first. */
  readonly last: readonly { readonly at: number; readonly ms: number }[];
}

/** How far a connection had received a room. */
export interface LifeCursor {
  readonly room: string;
  readonly epoch: string;
  /** The last message that it was handed. */
  readonly seq: number;
  /** Messages after it in the log. */
  readonly behind: number;
}

/** How a connection ended. Code 1005 stands for an empty close frame, 1006 for none at all. */
export interface LifeEnd {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly code: number;
  readonly reason: string;
  /** The side that closed it. */
  readonly by: 'server' | 'peer';
}

/** How a client saw the end of its connection. It reports it on its next one. */
export interface EndReport {
  /** When the server received the report, in milliseconds since 1970. */
  readonly at: number;
  /** The close code. Absent if the client gave the connection up. */
  readonly code?: number | undefined;
  readonly reason: string;
  /** Milliseconds that the connection had been live. */
  readonly after: number;
  /** Milliseconds from its end to the report. */
  readonly away: number;
  /** Whether the platform reported a network at the end. Absent if it does not know. */
  readonly online?: boolean | undefined;
  /** Whether the page was visible at the end. Absent where there is no page. */
  readonly visible?: boolean | undefined;
}

/** The life of one connection, as its server recorded it. */
export interface ConnectionLife {
  /** The session, or the number of the connection where its wire has no sessions. */
  readonly session: string;
  readonly user: string;
  readonly wire: string;
  readonly remoteAddress: string;
  readonly authentication: AuthenticationKind;
  /** Whether it resumed a session. */
  readonly resumed: boolean;
  /** Milliseconds since 1970. */
  readonly openedAt: number;
  /** The newest, oldest first. */
  readonly events: readonly LifeEvent[];
  /** Events before them that are no longer kept. */
  readonly forgotten: number;
  readonly roundTrips?: RoundTrips | undefined;
  /** At its end, or now: those furthest behind first. */
  readonly cursors: readonly LifeCursor[];
  /** Absent while it is open. */
  readonly end?: LifeEnd | undefined;
  /** Absent unless its client has come back and reported. */
  readonly report?: EndReport | undefined;
}

/** A report of the client of a session. */
export interface SessionReport {
  readonly session: string;
  readonly report: EndReport;
  /** When the connection was opened over which it came. Absent if another thread has that. */
  readonly over?: number | undefined;
}

/** What one thread knows of a session or a user. A report may be about a connection elsewhere. */
export interface FoundLives {
  /** The newest first. */
  readonly connections: readonly ConnectionLife[];
  readonly reports: readonly SessionReport[];
}

/** A session: its connections, the newest first. */
export interface SessionLife {
  readonly session: string;
  readonly user: string;
  readonly connections: readonly ConnectionLife[];
}

/** The answer to `GET /admin/v1/sessions/{id}`. */
export interface SessionAnswer extends SessionLife {
  /** Nodes and workers that did not answer in time. Their connections are missing. */
  readonly missing: number;
}

/** The answer to `GET /admin/v1/users/{user}/sessions`: the session with the newest one first. */
export interface UserSessionsAnswer {
  readonly user: string;
  readonly sessions: readonly SessionLife[];
  /** Nodes and workers that did not answer in time. Their connections are missing. */
  readonly missing: number;
}
