import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { INTERNAL_ERROR } from './application.ts';
import { unmapIPv4 } from './remote-address.ts';
import type { Application, HttpRequest, HttpResponse } from './transport.ts';

/** Answers a plain request with the application's response. */
export async function answerRequest(
  request: IncomingMessage,
  response: ServerResponse,
  application: Application,
): Promise<void> {
  let answer = INTERNAL_ERROR;
  try {
    const pending = application.handle(requestOf(request));
    request.resume(); // an unread body would block the connection's next request
    answer = await pending;
  } catch {}
  writeResponse(request, response, answer);
}

const NOT_SERVED: readonly number[] = [404, 405];

/**
 * Answers a plain request as a middleware: calls `next` for a path or a method that the application
 * does not serve, with the body unread, and `next(error)` if the application fails.
 */
export async function offerRequest(
  request: IncomingMessage,
  response: ServerResponse,
  application: Application,
  next: (error?: unknown) => void,
): Promise<void> {
  let answer: HttpResponse;
  try {
    answer = await application.handle(requestOf(request));
  } catch (error) {
    if (!response.destroyed) next(error);
    return;
  }
  if (NOT_SERVED.includes(answer.status)) next();
  else writeResponse(request, response, answer);
}

/** Writes a response, unless the client has disconnected or the program has answered already. */
export function writeResponse(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body }: HttpResponse,
): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** Writes the response to a handshake and ends the connection. */
export function rejectHandshake(tcp: Duplex, { status, headers, body }: HttpResponse): void {
  const all = { connection: 'close', ...headers, 'content-length': `${Buffer.byteLength(body)}` };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  tcp.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n`);
  tcp.end(body);
}

export function requestOf(request: IncomingMessage): HttpRequest {
  const [path = '', ...query] = (request.url ?? '').split('?');
  return {
    method: request.method ?? '',
    path,
    query: query.join('?'),
    remoteAddress: remoteAddressOf(request),
    header: (name) => textOf(request.headers[name]),
    body: (maxBytes) => readBody(request, maxBytes),
    get headers() {
      return Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, textOf(value)]));
    },
  };
}

export function remoteAddressOf({ socket }: IncomingMessage): string {
  return unmapIPv4(socket.remoteAddress ?? '');
}

function textOf(header: string | string[] | undefined): string {
  return Array.isArray(header) ? header.join(', ') : (header ?? '');
}

function readBody(request: IncomingMessage, maxBytes: number): Promise<Uint8Array | undefined> {
  if (request.readableEnded) return readParsedBody(request, maxBytes);
  const body = new Promise<Uint8Array | undefined>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.byteLength;
      if (length > maxBytes) resolve(undefined);
      else chunks.push(chunk);
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('close', () => reject(new Error('the client disconnected'))); // no effect after the end
  });
  body.catch(() => {}); // the application may ignore the body
  return body;
}

/** Returns a body that a program's body parser has read, and left in `body` as Express does. */
async function readParsedBody(
  request: IncomingMessage & { readonly body?: unknown },
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  const { body } = request;
  const isJson = /^application\/json\b/i.test(request.headers['content-type'] ?? '');
  const unchanged = typeof body === 'string' || body instanceof Uint8Array;
  if (!unchanged && !(isJson && body !== undefined)) {
    throw new Error('a body parser has read the body; mount the handler of Pumphouse before it');
  }
  const bytes = Buffer.from(unchanged ? body : JSON.stringify(body));
  return bytes.byteLength > maxBytes ? undefined : bytes;
}
