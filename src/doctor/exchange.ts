import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request as plainRequest } from 'node:http';
import { request as secureRequest } from 'node:https';
import { LATE, type Scope } from './scope.ts';
import type { Walk } from './walk.ts';

const MAX_BODY = 64 * 1024;

export interface RequestInit {
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Sent to another port than the target's, without TLS. @default that of the URL */
  readonly plainPort?: number;
}

/** A response whose body is not read yet. */
export interface Incoming {
  readonly kind: 'incoming';
  readonly response: IncomingMessage;
  /** Milliseconds from the start of the connection to the headers. */
  readonly ms: number;
}

/** A complete response. */
export interface Answer {
  readonly kind: 'answer';
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly ms: number;
  readonly local: string;
  readonly remote: string;
}

/** No response. */
export interface Failure {
  readonly kind: 'failed';
  readonly detail: string;
}

/** Sends a request on a connection of its own. Resolves with the headers of the response. */
export async function open(walk: Walk, scope: Scope, url: string, init: RequestInit = {}): Promise<Incoming | Failure> {
  const { method = 'GET', headers = {}, body, plainPort } = init;
  const started = performance.now();
  let request: ClientRequest | undefined;
  const responded = new Promise<IncomingMessage>((resolve, reject) => {
    const secure = url.startsWith('https:') && plainPort === undefined;
    const to = new URL(plainPort === undefined ? url : url.replace(/^https:/, 'http:'));
    if (plainPort !== undefined) to.port = String(plainPort);
    const options = { ...walk.connection, method, headers, agent: false } as const;
    request = secure ? secureRequest(to, options) : plainRequest(to, options);
    request.on('error', reject).on('response', resolve).end(body);
  });
  // Closing the scope destroys the request, which is no failure of the check any more.
  responded.catch(() => {});
  scope.defer(() => request?.destroy());
  try {
    const response = await scope.wait(responded);
    if (response === LATE) return { kind: 'failed', detail: `no answer in ${seconds(performance.now() - started)}` };
    response.on('error', () => {});
    walk.observe(response.headers);
    return { kind: 'incoming', response, ms: performance.now() - started };
  } catch (error) {
    return { kind: 'failed', detail: errorText(error) };
  }
}

/** Sends a request, and reads the response: the first 64 KiB of its body. */
export async function exchange(
  walk: Walk,
  scope: Scope,
  url: string,
  init: RequestInit = {},
): Promise<Answer | Failure> {
  const opened = await open(walk, scope, url, init);
  if (opened.kind === 'failed') return opened;
  const { response, ms } = opened;
  const { localAddress = '', remoteAddress = '' } = response.socket;
  let body = '';
  const read = new Promise<void>((resolve) => {
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      body += text;
      if (body.length > MAX_BODY) resolve();
    });
    response.once('close', resolve);
  });
  if ((await scope.wait(read)) === LATE) return { kind: 'failed', detail: 'the body of the answer does not end' };
  response.destroy();
  const { statusCode: status = 0, headers } = response;
  walk.observe(headers, body);
  return {
    kind: 'answer',
    status,
    headers,
    body,
    ms,
    local: plainAddress(localAddress),
    remote: plainAddress(remoteAddress),
  };
}

/** Writes an IPv4 address that is mapped to IPv6 as such. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, '');
}

/** One line for an error of a connection. */
export function errorText(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === undefined ? message : `${message.split('\n')[0]}${message.includes(code) ? '' : ` (${code})`}`;
}

/** Writes milliseconds as seconds. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** Writes milliseconds. */
export function millis(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}
