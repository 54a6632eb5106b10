import type { HttpResponse } from '../transport/transport.ts';

/** The problems of the Server API, by the slug that `type` ends with, with their titles. */
export const problems = {
  'invalid-json': 'The body is not valid JSON',
  'invalid-field': 'A field is missing or invalid',
  'invalid-path': 'The path is invalid',
  'invalid-query': 'A query parameter is unknown or invalid',
  unauthorized: 'No valid key',
  forbidden: 'The key does not allow this',
  'not-found': 'Not found',
  'method-not-allowed': 'The path has no such method',
  timeout: 'The body did not arrive in time',
  'too-large': 'Too large',
  'unsupported-media-type': 'The body must be JSON',
  'too-many-requests': 'Too many requests',
  busy: 'The server is busy',
  draining: 'The server is shutting down',
  unavailable: 'The store cannot be reached',
  'unknown-outcome': 'The outcome is unknown',
} as const;

export type ProblemType = keyof typeof problems;

const PREFIX = '/problems#';

/** Problem details as RFC 9457 defines them. `type` is the section of docs/api.md. */
export interface ProblemDetails {
  readonly type: `${typeof PREFIX}${ProblemType}`;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
}

// Problems that the same request may not meet again, and after how many seconds.
const RETRY_AFTER: Readonly<Partial<Record<ProblemType, number>>> = {
  'too-many-requests': 5,
  busy: 1,
  draining: 1,
  unavailable: 1,
  'unknown-outcome': 1,
};

/** Returns the body of a problem, also for one of several results. */
export function problemDetails(status: number, type: ProblemType, detail: string, extra: object = {}): ProblemDetails {
  return { type: `${PREFIX}${type}`, title: problems[type], status, detail, ...extra };
}

/**
 * Returns a response of `application/problem+json` (RFC 9457).
 *
 * @param detail one sentence for people, which names what is wrong.
 *
 * @param extra further members, such as `field`.
 */
export function problem(
  status: number,
  type: ProblemType,
  detail: string,
  extra: object = {},
  headers: Readonly<Record<string, string>> = {},
): HttpResponse {
  return problemResponse(problemDetails(status, type, detail, extra), headers);
}

export function problemResponse(details: ProblemDetails, headers: Readonly<Record<string, string>> = {}): HttpResponse {
  const retryAfter = RETRY_AFTER[details.type.slice(PREFIX.length) as ProblemType];
  return {
    status: details.status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      ...(retryAfter !== undefined && { 'Retry-After': `${retryAfter}` }),
      ...headers,
    },
    body: JSON.stringify(details),
  };
}

/** The response to a request on a room that its key does not allow. */
export function roomForbidden(room: string): HttpResponse {
  return problem(403, 'forbidden', `The key does not allow the room ${JSON.stringify(room)}.`, { room });
}
