import { acceptsHtml, NOT_FOUND_PAGE } from './error-page.ts';
import { type Application, type HttpAnswer, type HttpRequest, type HttpResponse, isStream } from './transport.ts';

/** The response when an application throws or rejects. It does not reveal the cause. */
export const INTERNAL_ERROR: HttpResponse = { status: 500, headers: {}, body: 'Internal Server Error\n' };

/**
 * How much of a body that nothing reads a transport takes in before it answers. A client that is
 * cut while it sends loses the response.
 */
export const MAX_DISCARDED_BYTES = 1024 * 1024;

/** Returns the application's decision on a handshake, which is INTERNAL_ERROR when it throws. */
export function decideHandshake(application: Application, request: HttpRequest): ReturnType<Application['upgrade']> {
  try {
    return application.upgrade(request);
  } catch {
    return INTERNAL_ERROR;
  }
}

/**
 * Returns a function that shows a plain 404 as a page, if the request asks for one. It reads the
 * request before it returns.
 */
export function presentErrors(request: HttpRequest): (answer: HttpAnswer) => HttpAnswer {
  const { method } = request;
  const wantsPage = (method === 'GET' || method === 'HEAD') && acceptsHtml(request.header('accept'));
  return (answer) => (wantsPage && !isStream(answer) && isPlain404(answer) ? NOT_FOUND_PAGE : answer);
}

function isPlain404({ status, headers }: HttpResponse): boolean {
  return status === 404 && (headers['content-type'] ?? 'text/plain').startsWith('text/plain');
}
