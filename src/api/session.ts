import { isUtf8 } from 'node:buffer';
import { type Authenticator, credentialsOf, INVALID, type Principal } from '../auth/authenticator.ts';
import type { Session, Sessions } from '../auth/sessions.ts';
import { answerPreflight, corsHeaders, withHeaders } from '../http/cors.ts';
import { checkOrigin, type Origins } from '../http/origin.ts';
import type { Admission } from '../http/publish.ts';
import type { NowOrLater } from '../protocol/now-or-later.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import type { Command, Wire } from '../wire/wire.ts';
import { withDeadline } from './deadline.ts';
import { problem } from './problem.ts';
import { API_PATH } from './router.ts';
import type { Sender, SessionCommands, SessionRates } from './session-commands.ts';

/** Where a client without a WebSocket sends its messages. */
export const SESSION_PATH = `${API_PATH}/session`;

/** The header that carries the secret of a session, beside the token in `Authorization`. */
const SESSION_HEADER = 'pumphouse-session';

// Time for a client to send a whole body.
const BODY_MS = 30_000;

// Messages that one request may carry. The client library keeps 64 in flight.
const MAX_MESSAGES = 128;

export interface SessionOptions {
  readonly commands: SessionCommands;
  /** The wire of the native protocol. */
  readonly wire: Pick<Wire, 'decode' | 'maxMessageSize'>;
  readonly rates: Pick<SessionRates, 'takeRequest'>;
  readonly origins: Origins;
  readonly authenticator: Authenticator;
  readonly sessions: Sessions;
  /** Reports whether a session is revoked; `unknown` where the store cannot be reached. */
  readonly isRevoked: (session: Session) => NowOrLater<boolean | 'unknown'>;
  readonly addressOf: (request: HttpRequest) => string;
  /** Reads a request for the connect hook. @returns a function that calls the hook. */
  readonly prepareConnect: (request: HttpRequest) => () => NowOrLater<Admission>;
  /** Reports whether the server is shutting down. */
  readonly draining: () => boolean;
}

type Step<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'rejected'; readonly problem: HttpResponse };

/**
 * Returns the handler of `/api/v1/session`: it runs the messages in the body of a POST as if the
 * session's client had sent them over its connection, and answers with the server's messages, one a
 * line. It keeps nothing of a session, so any node and thread can answer.
 */
export function createSession(options: SessionOptions) {
  const { origins } = options;
  return async (request: HttpRequest): Promise<HttpResponse> => {
    const preflight = answerPreflight(request, origins, 'POST');
    if (preflight) return preflight;
    const headers = corsHeaders(request, origins);
    return withHeaders(await answer(request, options), headers);
  };
}

/** Reads the whole request before its first await: it is valid no longer. */
async function answer(request: HttpRequest, options: SessionOptions): Promise<HttpResponse> {
  const { wire, origins, commands, rates, draining } = options;
  if (checkOrigin(request, origins)) return problem(403, 'forbidden', 'This origin is not allowed.', NOT_ALLOWED);
  if (request.method !== 'POST') {
    return problem(405, 'method-not-allowed', 'Only POST is allowed.', {}, { Allow: 'OPTIONS, POST' });
  }
  if (draining()) return problem(503, 'draining', 'The server is shutting down.');
  const [identified, body] = await Promise.all([identify(request, options), readCommands(request, wire)]);
  if (identified.kind === 'rejected') return identified.problem;
  if (body.kind === 'rejected') return body.problem;
  const sender = identified.value;
  if (!rates.takeRequest(sender)) {
    return problem(429, 'too-many-requests', 'The session sends too fast.', {}, { 'Retry-After': '1' });
  }
  const lines = await commands.run(body.value, sender);
  return {
    status: 200,
    headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
    body: lines.map((line) => `${line}\n`).join(''),
  };
}

/** Finds out whose request it is. Reads the request before it returns. */
async function identify(request: HttpRequest, options: SessionOptions): Promise<Step<Sender>> {
  const { sessions, addressOf, prepareConnect } = options;
  const session = sessions.resume(request.header(SESSION_HEADER));
  if (session === undefined) {
    return unauthorized('The header Pumphouse-Session has no secret of a session here.');
  }
  const address = addressOf(request);
  const credentials = credentialsOf(request, address);
  const connect = prepareConnect(request);
  const revoked = await options.isRevoked(session);
  if (revoked === 'unknown') return rejected(503, 'unavailable', 'The session cannot be checked now.');
  if (revoked) return unauthorized('The session is revoked.');
  const authentication = await authenticate(session, credentials.token, address, options.authenticator);
  if (authentication.kind === 'unavailable') return rejected(503, 'unavailable', 'The token cannot be checked now.');
  if (authentication.kind !== 'authenticated') return unauthorized(TOKEN_NEEDED);
  const { principal } = authentication;
  const admission = await connect();
  if (admission.kind === 'rejected') {
    const { status, reason } = admission;
    if (status === 503) return rejected(503, 'unavailable', reason);
    return { kind: 'rejected', problem: problem(403, 'forbidden', reason, NOT_ALLOWED) };
  }
  // The connect hook may name a client otherwise than its token does, as it did for the connection.
  const user = admission.user ?? principal.user;
  if (user !== undefined && user !== session.user) return unauthorized(TOKEN_NEEDED);
  const isVerified = admission.user !== undefined || options.authenticator.requires !== 'nothing';
  return { kind: 'ok', value: { session, grants: principal.grants, address, isVerified } };
}

/** A session proves its user, except where each request needs a token. */
async function authenticate(
  { user }: Session,
  token: string | undefined,
  address: string,
  authenticator: Authenticator,
): Promise<Awaited<ReturnType<Authenticator['authenticate']>>> {
  if (authenticator.requires === 'token') {
    return authenticator.authenticate({ token, address, ticket: undefined, basic: undefined });
  }
  const principal: Principal = { user };
  return (await authenticator.mayResume(user)) ? { kind: 'authenticated', principal } : INVALID;
}

const TOKEN_NEEDED = "The session needs its user's token: send Authorization: Bearer TOKEN.";

// The titles of the Server API are about keys.
const NOT_ALLOWED = { title: 'Not allowed' };
const NOT_SIGNED_IN = { title: 'Not signed in' };

function unauthorized(detail: string): Step<never> {
  const headers = { 'WWW-Authenticate': 'Bearer' };
  return { kind: 'rejected', problem: problem(401, 'unauthorized', detail, NOT_SIGNED_IN, headers) };
}

/** The limit is that of a frame. */
async function readCommands(request: HttpRequest, wire: SessionOptions['wire']): Promise<Step<readonly Command[]>> {
  const { maxMessageSize } = wire;
  const body = await withDeadline(request.body(maxMessageSize), BODY_MS, 'late' as const);
  if (body === 'late') return rejected(408, 'timeout', 'The body did not arrive in time.', CLOSE);
  if (body === undefined) return rejected(413, 'too-large', `The body is longer than ${maxMessageSize} bytes.`, CLOSE);
  if (!isUtf8(body)) return rejected(400, 'invalid-json', 'The body is not UTF-8.');
  const text = Buffer.from(body).toString().trimEnd();
  const commands = wire.decode(Buffer.from(text), false);
  if (commands.length <= MAX_MESSAGES) return { kind: 'ok', value: commands };
  return rejected(413, 'too-large', `The body has more than ${MAX_MESSAGES} messages.`);
}

const CLOSE = { Connection: 'close' };

function rejected(
  status: number,
  type: Parameters<typeof problem>[1],
  detail: string,
  headers: Readonly<Record<string, string>> = {},
): Step<never> {
  return { kind: 'rejected', problem: problem(status, type, detail, {}, headers) };
}
