import type { Application, HttpRequest, HttpResponse } from './transport.ts';

/** The response when an application throws or rejects. It does not reveal the cause. */
export const INTERNAL_ERROR: HttpResponse = { status: 500, headers: {}, body: 'Internal Server Error\n' };

/** Returns the application's decision on a handshake, which is INTERNAL_ERROR when it throws. */
export function decideHandshake(application: Application, request: HttpRequest): ReturnType<Application['upgrade']> {
  try {
    return application.upgrade(request);
  } catch {
    return INTERNAL_ERROR;
  }
}
