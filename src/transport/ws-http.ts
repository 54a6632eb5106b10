import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { INTERNAL_ERROR, MAX_DISCARDED_BYTES, presentErrors } from './application.ts';
import { headersTooLarge } from './error-page.ts';
import { unmapIPv4 } from './remote-address.ts';
import { statusText } from './status-text.ts';
import { type Application, type HttpAnswer, type HttpRequest, type HttpResponse, isStream } from './transport.ts';
import type { HttpStreams } from './ws-stream.ts';

/** Answers a plain request with the application's response, or opens its stream. */
export async function answerRequest(
  request: IncomingMessage,
  response: ServerResponse,
  application: Application,
  streams: HttpStreams,
): Promise<void> {
  let answer: HttpAnswer = INTERNAL_ERROR;
  try {
    const incoming = requestOf(request);
    const present = presentErrors(incoming);
    const pending = application.handle(incoming);
    request.resume(); // an unread body would block the connection's next request
    answer = present(await pending);
  } catch {}
  writeAnswer(request, response, answer, streams);
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
  streams: HttpStreams,
  next: (error?: unknown) => void,
): Promise<void> {
  let answer: HttpAnswer;
  try {
    answer = await application.handle(requestOf(request));
  } catch (error) {
    if (!response.destroyed) next(error);
    return;
  }
  if (!isStream(answer) && NOT_SERVED.includes(answer.status)) next();
  else writeAnswer(request, response, answer, streams);
}

function writeAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  answer: HttpAnswer,
  streams: HttpStreams,
): void {
  if (!isStream(answer)) writeResponse(request, response, answer);
  else if (request.method === 'HEAD') {
    writeResponse(request, response, { status: 200, headers: answer.headers, body: '' });
  } else if (response.socket === null && !response.destroyed) writeResponse(request, response, PIPELINED);
  else streams.open(request, response, answer);
}

/** Behind another response, which may be a stream, this one would not be written. */
const PIPELINED: HttpResponse = { status: 400, headers: {}, body: 'a stream needs a connection of its own\n' };

/** Writes a response, unless the client has disconnected or the program has answered already. */
export function writeResponse(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body }: HttpResponse,
): void {
  if (response.destroyed || response.headersSent) return;
  // In a 304, the length would be that of the body which the client has already.
  const length = status === 304 ? {} : { 'content-length': Buffer.byteLength(body) };
  response.writeHead(status, statusText(status), { ...headers, ...length });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** Writes the response to a handshake, or to no request at all, and ends the connection. */
export function rejectHandshake(tcp: Duplex, { status, headers, body }: HttpResponse): void {
  const all = { connection: 'close', ...headers, 'content-length': `${Buffer.byteLength(body)}` };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  tcp.write(`HTTP/1.1 ${status} ${statusText(status)}\r\n${lines.join('')}\r\n`);
  tcp.end(body);
}

/** An error of Node's HTTP parser, with the chunk in which it occurred. */
type ParserError = Error & { readonly code?: string; readonly rawPacket?: Buffer };

const STATUSES: Readonly<Record<string, number>> = {
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

// A peer that is still sending would get a reset before it has read the response.
const LINGER_MS = 1_000;

/** Answers a request that cannot be parsed, and ends the connection. */
export function rejectUnreadable({ code = '', rawPacket }: ParserError, tcp: Duplex): void {
  if (tcp.writableEnded) return;
  if (code === 'ECONNRESET' || !tcp.writable) {
    tcp.destroy();
    return;
  }
  // Headers in an earlier chunk are not known here: without Accept, the response is plain text.
  const accept = /^accept:(.*)$/im.exec(rawPacket?.toString('latin1') ?? '')?.[1] ?? '';
  const bare = { status: STATUSES[code] ?? 400, headers: {}, body: '' };
  rejectHandshake(tcp, code === 'HPE_HEADER_OVERFLOW' ? headersTooLarge(accept) : bare);
  setTimeout(() => tcp.destroy(), LINGER_MS).unref();
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
    // The response to a body that is too long ends the connection.
    if (Number(request.headers['content-length']) > maxBytes + MAX_DISCARDED_BYTES) resolve(undefined);
    request.on('data', (chunk: Buffer) => {
      length += chunk.byteLength;
      if (length <= maxBytes) chunks.push(chunk);
      else if (length > maxBytes + MAX_DISCARDED_BYTES) resolve(undefined);
    });
    request.on('end', () => resolve(length > maxBytes ? undefined : Buffer.concat(chunks)));
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
