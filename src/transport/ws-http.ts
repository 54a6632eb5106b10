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
  let { status, headers, body } = INTERNAL_ERROR;
  try {
    const pending = application.handle(requestOf(request));
    request.resume(); // an unread body would block the connection's next request
    ({ status, headers, body } = await pending);
  } catch {}
  if (response.destroyed) return;
  // In a 304, the length would be that of the body which the client has already.
  const length = status === 304 ? {} : { 'content-length': Buffer.byteLength(body) };
  response.writeHead(status, { ...headers, ...length });
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
