import type { AuthenticationFailure, RequiredCredential } from '../auth/authenticator.ts';
import type { Denied } from '../client/authorizer.ts';
import type { Admission } from '../http/publish.ts';
import { plainText, tooManyRequests, unauthorized, unavailable } from '../http/responses.ts';
import type { HubEvents } from '../hub/events.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import { type ErrorMessage, errors } from '../protocol/v1.ts';
import type { HttpResponse } from '../transport/transport.ts';

/** The answer to a client of the native protocol. It receives nothing else. */
export interface RefusalNotice {
  /** Sent first where a retry makes sense. */
  readonly error?: ErrorMessage;
  readonly close: Close;
}

/** Why a handshake is refused, and the answers to it. */
export interface Refusal {
  /** One of a bounded set: the reasons are labels of a metric. */
  readonly reason: HubEvents['refused']['reason'];
  /** For the operator's log: the cause, and the setting that would allow the handshake. */
  readonly message: string;
  /** The answer of all wires but the native protocol. */
  readonly response: HttpResponse;
  /** The answer of the native protocol. @default undefined: `response` as well */
  readonly notice?: RefusalNotice;
}

/** @param origin the Origin header of the request. */
export function originRefusal(origin: string, response: HttpResponse): Refusal {
  const remedy = isUsableOrigin(origin)
    ? `start with --origin ${origin}`
    : 'only pages with an http or https origin can be allowed, with --origin';
  const message = `its origin is not allowed: ${remedy}`;
  return { reason: 'origin', message, response, notice: { close: closes.originRefused } };
}

// An operator may paste the suggested flag into a shell, so it holds no other characters.
const USABLE_ORIGIN = /^https?:\/\/[a-z0-9.:[\]-]{1,200}$/i;

function isUsableOrigin(origin: string): boolean {
  return USABLE_ORIGIN.test(origin);
}

/** The refusal of a request that is not a WebSocket handshake. */
export function malformedRefusal(response: HttpResponse): Refusal {
  const message = 'it is not a valid WebSocket handshake: a proxy must pass on the headers Upgrade and Connection';
  return { reason: 'malformed', message, response };
}

/** The refusal of a request for a stream that is malformed in its own way, not as a handshake. */
export function streamRefusal(response: HttpResponse): Refusal {
  return { reason: 'malformed', message: `it is not a valid request for a stream: ${lineOf(response)}`, response };
}

/** The refusal of a stream of a room that the client may not join. */
export function roomRefusal(room: string, { code, message = 'not allowed' }: Denied): Refusal {
  const refusal = { reason: 'forbidden_room', message: `the room ${JSON.stringify(room)}: ${message}` } as const;
  return code === 'forbidden'
    ? { ...refusal, response: plainText(403, message) }
    : {
        ...refusal,
        response: plainText(503, message, { 'Retry-After': '1' }),
        notice: {
          error: errorOf('unavailable', message, errors.unavailable.retryAfter),
          close: closes.unavailable,
        },
      };
}

/** The refusal by the connect hook, or because the hook failed. */
export function hookRefusal({ status, reason }: Extract<Admission, { kind: 'rejected' }>): Refusal {
  const response = plainText(status, reason);
  if (status === 503) {
    const error = errorOf(
      'unavailable',
      'the server cannot decide about this connection',
      errors.unavailable.retryAfter,
    );
    return {
      reason: 'hook_failed',
      message: 'the connect hook failed or took longer than hookTimeout',
      response,
      notice: { error, close: closes.unavailable },
    };
  }
  const message = `the connect hook refused it: ${reason}`;
  return { reason: 'hook', message, response, notice: { close: { ...closes.refused, reason } } };
}

/** @param retryAfter milliseconds. */
export function limitRefusal(
  reason: 'max_connections' | 'connections_per_address' | 'max_handshakes',
  message: string,
  response: HttpResponse,
  retryAfter: number,
): Refusal {
  const { message: text } = errors.too_many_connections;
  const error = errorOf('too_many_connections', text, retryAfter);
  return { reason, message, response, notice: { error, close: closes.tooManyConnections } };
}

/** @param requires the credential that the server requires. */
export function authenticationRefusal(
  {
    kind,
    message: why = 'the store of tickets, attempts and revocations cannot be reached',
    newerTokenAfter,
  }: AuthenticationFailure,
  requires: RequiredCredential,
): Refusal {
  if (newerTokenAfter !== undefined) return laterRefusal(why, 'a newer token is needed', newerTokenAfter);
  if (kind === 'unavailable') return unavailableRefusal(why);
  if (kind === 'throttled') {
    const error = errorOf('unavailable', 'too many attempts to sign in', errors.unavailable.retryAfter);
    const message = 'too many attempts to sign in from its address or as its user';
    return { reason: kind, message, response: tooManyRequests(), notice: { error, close: closes.unavailable } };
  }
  const answers = { response: unauthorized(), notice: { close: closes.unauthenticated } };
  if (kind === 'missing') {
    const message = `it has no credentials, and the server requires a ${requires}: only --auth open needs none`;
    return { reason: 'missing_credentials', message, ...answers };
  }
  const message =
    requires === 'token'
      ? 'its token is invalid: see --jwt-secret, --jwt-key, --jwt-issuer and --jwt-audience'
      : 'its ticket or password is invalid: see --users';
  return { reason: 'invalid_credentials', message, ...answers };
}

/** The refusal of an invalid query, in every wire by HTTP (PROTOCOL.md, C2 and C3). */
export function queryRefusal(reason: string): Refusal {
  return { reason: 'bad_query', message: reason, response: plainText(400, reason) };
}

/** @param path of the request, undecoded. */
export function pathRefusal(path: string): Refusal {
  const message = `no clients connect at ${JSON.stringify(path.slice(0, 100))}: the native protocol is at /ws`;
  return { reason: 'unknown_path', message, response: plainText(404, 'Not found') };
}

// A store is away for seconds, at a failover: its clients must not return all at once.
const UNAVAILABLE_MS = 5_000;

/** The refusal while the server cannot reach its store, or the other nodes. */
export function unavailableRefusal(message: string): Refusal {
  return laterRefusal(message, 'the server cannot reach its store', jitter(UNAVAILABLE_MS));
}

/** @param message for the log. @param text for the client. @param retryAfter milliseconds. */
function laterRefusal(message: string, text: string, retryAfter: number): Refusal {
  const response = unavailable(Math.ceil(retryAfter / 1000));
  const error = errorOf('unavailable', text, retryAfter);
  return { reason: 'unavailable', message, response, notice: { error, close: closes.unavailable } };
}

export const DRAINING: Refusal = {
  reason: 'draining',
  message: 'the server is shutting down',
  response: plainText(503, 'draining'),
  notice: { close: closes.goingAway },
};

function lineOf({ body }: HttpResponse): string {
  return Buffer.from(body).toString().trim();
}

/** Returns `ms` to twice that, so that clients refused together do not return together. */
export function jitter(ms: number, random: () => number = Math.random): number {
  return Math.round(ms * (1 + random()));
}

function errorOf(code: 'unavailable' | 'too_many_connections', message: string, retryAfter: number): ErrorMessage {
  return { t: 'error', code, message, retry: true, retryAfter };
}

/** Returns the decision to refuse a handshake. */
export function refused(refusal: Refusal) {
  return { kind: 'refused', refusal } as const;
}
