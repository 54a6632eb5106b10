/**
 * The close codes. The close frame, the log, the metric and the page all use this table.
 *
 * Codes below 3000 are those of RFC 6455. Of the private codes, 4000–4499 mean "reconnect" and
 * 4500–4999 mean "do not reconnect": a client needs only the range (`comesBack`), not a list.
 */
export interface Close {
  /** The status code. 1005 stands for an empty close frame, 1006 for no close frame at all. */
  readonly code: number;
  /** The close frame's reason: at most 123 bytes of UTF-8 (RFC 6455, section 5.5). */
  readonly reason: string;
}

export const closes = {
  normal: { code: 1000, reason: '' },
  goingAway: { code: 1001, reason: 'the server is shutting down' },
  protocolError: { code: 1002, reason: 'protocol error' },
  unsupported: { code: 1003, reason: 'binary frames are not understood here' },
  empty: { code: 1005, reason: '' },
  abnormal: { code: 1006, reason: '' },
  invalidText: { code: 1007, reason: 'text is not valid UTF-8' },
  forbidden: { code: 1008, reason: 'not allowed' },
  unexpectedData: { code: 1008, reason: 'unexpected data message' },
  messageTooBig: { code: 1009, reason: '' },
  internalError: { code: 1011, reason: 'internal error' },
  restart: { code: 1012, reason: 'the server restarts' },
  busy: { code: 1013, reason: 'the hub is busy, try again in a second' },
  slowConsumer: { code: 4000, reason: 'reading too slowly' },
  writeTimeout: { code: 4001, reason: 'took nothing for too long' },
  pongTimeout: { code: 4002, reason: 'no pong in time' },
  rateExceeded: { code: 4003, reason: 'sending too fast' },
  tokenExpired: { code: 4004, reason: 'the token has expired: refresh it and come back' },
  tooManyConnections: { code: 4005, reason: 'too many connections' },
  unavailable: { code: 4006, reason: 'try again later' },
  lostTail: { code: 4007, reason: 'messages were lost: join again' },
  reconnect: { code: 4008, reason: 'reconnect' },
  replaced: { code: 4500, reason: 'another connection goes on with this session' },
  unauthenticated: { code: 4501, reason: 'not signed in' },
  originRefused: { code: 4502, reason: 'this origin is not allowed' },
  refused: { code: 4503, reason: 'Forbidden' },
  disconnected: { code: 4504, reason: 'disconnected' },
} as const satisfies Record<string, Close>;

/** A key of `closes`. */
export type CloseName = keyof typeof closes;

/** The codes that mean "reconnect". */
const COMES_BACK = /^(100[156]|101[1-3]|4[0-4]..)$/;

/**
 * Reports whether a client that was closed with `code` should reconnect.
 *
 * @example comesBack(1001) // true: the server restarts, or another one takes over
 * @example comesBack(1009) // false: the same message would be rejected again
 */
export function comesBack(code: number): boolean {
  return COMES_BACK.test(`${code}`);
}

/**
 * Returns how a client whose credential was revoked is closed: a new token lets it come back;
 * without tokens its user has to sign in again.
 *
 * @param hasToken whether the credential was a token.
 */
export function revokedClose(hasToken: boolean): Close {
  return hasToken ? closes.tokenExpired : closes.unauthenticated;
}
