import { decideHandshake, INTERNAL_ERROR, presentErrors } from './application.ts';
import { headersTooLarge, MAX_HEADER_BYTES } from './error-page.ts';
import { unmapIPv4 } from './remote-address.ts';
import { statusText } from './status-text.ts';
import { type Application, type HttpRequest, type HttpResponse, isUpgrade, type Upgrade } from './transport.ts';

/**
 * The methods of uWebSockets.js's request that this file calls. Only uws.ts imports the library,
 * types included. A request is valid only until its handler returns.
 */
interface UwsRequest {
  getMethod(): string;
  getUrl(): string;
  getQuery(): string | undefined;
  getHeader(lowerCaseName: string): string;
  forEach(visit: (name: string, value: string) => void): void;
}

/**
 * The methods of uWebSockets.js's response that this file calls. After an abort, every call throws.
 */
interface UwsResponse {
  onAborted(handler: () => void): unknown;
  onData(handler: (chunk: ArrayBuffer, last: boolean) => void): unknown;
  cork(work: () => void): unknown;
  writeStatus(status: string): unknown;
  writeHeader(name: string, value: string): unknown;
  end(body: string | Uint8Array, closeConnection?: boolean): unknown;
  endWithoutBody(): unknown;
  getRemoteAddressAsText(): ArrayBuffer;
}

/** Answers a plain request with the application's response. */
export function answerRequest(res: UwsResponse, req: UwsRequest, application: Application): void {
  const exchange = new Exchange(res);
  if (hasBody(req)) exchange.receive();
  const request = requestOf(res, req, (maxBytes) => exchange.body(maxBytes));
  const head = request.method === 'HEAD';
  if (headerBytes(req) > MAX_HEADER_BYTES) {
    writeResponse(res, head, headersTooLarge(request.header('accept')), exchange.receiving);
    return;
  }
  const present = presentErrors(request);
  let response: HttpResponse | Promise<HttpResponse>;
  try {
    response = application.handle(request);
  } catch {
    response = INTERNAL_ERROR;
  }
  exchange.whenReady(response, (ready) => writeResponse(res, head, present(ready), exchange.receiving));
}

/**
 * Answers a handshake: calls `accept` if the application accepts it, else writes the application's
 * response.
 */
export function answerHandshake(
  res: UwsResponse,
  req: UwsRequest,
  application: Application,
  accept: (upgrade: Upgrade) => void,
): void {
  const head = req.getMethod() === 'head';
  if (headerBytes(req) > MAX_HEADER_BYTES) {
    writeResponse(res, head, headersTooLarge(''));
    return;
  }
  const decision = decideHandshake(application, requestOf(res, req, noBody));
  const respond = (ready: Upgrade | HttpResponse) => {
    if (isUpgrade(ready)) accept(ready);
    else writeResponse(res, head, ready);
  };
  // After an upgrade within `res.cork`, uWebSockets.js reads the state of the response from memory
  // that it has freed, and may cut the connection for what it finds there.
  new Exchange(res).whenReady<Upgrade | HttpResponse>(decision, respond, (ready) => !isUpgrade(ready));
}

/** Counts as Node does: address, names and values, without what is between them. */
function headerBytes(req: UwsRequest): number {
  let bytes = req.getUrl().length + (req.getQuery() ?? '').length;
  req.forEach((name, value) => {
    bytes += name.length + value.length;
  });
  return bytes;
}

/** Reports whether a body follows the headers. It may be empty. */
function hasBody(req: UwsRequest): boolean {
  return !['', '0'].includes(req.getHeader('content-length')) || req.getHeader('transfer-encoding') !== '';
}

const noBody = () => Promise.resolve(new Uint8Array());

/**
 * A request whose body or response may come later. Its abort handler is required: without one,
 * uWebSockets.js terminates the process when the client disconnects first.
 */
class Exchange {
  readonly #res: UwsResponse;
  #aborted = false;
  #onAborted = () => {};
  #onData: (chunk: ArrayBuffer, last: boolean) => void = () => {};
  #receiving = false;

  constructor(res: UwsResponse) {
    this.#res = res;
    res.onAborted(() => {
      this.#aborted = true;
      this.#onAborted();
    });
  }

  /** Whether the end of the body has not arrived. */
  get receiving(): boolean {
    return this.#receiving;
  }

  /** Takes the body, and discards it until the application asks for it. */
  receive(): void {
    this.#receiving = true;
    this.#res.onData((chunk, last) => {
      if (last) this.#receiving = false;
      this.#onData(chunk, last);
    });
  }

  body(maxBytes: number): Promise<Uint8Array | undefined> {
    if (!this.#receiving) return noBody();
    const body = new Promise<Uint8Array | undefined>((resolve, reject) => {
      this.#onAborted = () => reject(new Error('the client disconnected'));
      const chunks: Buffer[] = [];
      let length = 0;
      this.#onData = (chunk, last) => {
        length += chunk.byteLength;
        if (length > maxBytes) resolve(undefined);
        else chunks.push(Buffer.from(Buffer.from(chunk))); // a copy: the bytes are valid only during the call
        if (last) resolve(Buffer.concat(chunks));
      };
    });
    body.catch(() => {}); // the application may ignore the body
    return body;
  }

  /**
   * Calls `respond` with the value now, or once its promise resolves; with INTERNAL_ERROR if it
   * rejects. If the client has disconnected, skips the response.
   *
   * @param corks whether a late response is written at once. @default all are
   */
  whenReady<T>(
    value: T | Promise<T>,
    respond: (value: T | HttpResponse) => void,
    corks: (value: T | HttpResponse) => boolean = () => true,
  ): void {
    if (!(value instanceof Promise)) {
      respond(value);
      return;
    }
    const respondLater = (ready: T | HttpResponse) => {
      if (this.#aborted) return;
      if (corks(ready)) this.#res.cork(() => respond(ready));
      else respond(ready);
    };
    value.then(respondLater, () => respondLater(INTERNAL_ERROR));
  }
}

/**
 * Writes a response. Ends the connection where the response or `close` asks for it.
 *
 * @param close the client still sends the body, which nothing reads. uWebSockets.js would take in as
 * much of it as the client likes.
 */
function writeResponse(res: UwsResponse, head: boolean, response: HttpResponse, close = false): void {
  const { status, headers, body } = response;
  res.writeStatus(`${status} ${statusText(status)}`);
  let closes = close;
  for (const [name, value] of Object.entries(headers)) {
    if (name.toLowerCase() === 'connection' && value === 'close') closes = true;
    else res.writeHeader(name, value);
  }
  if (closes) {
    res.end(head ? '' : body, true); // only `end` can end the connection, too
    return;
  }
  // With its argument, endWithoutBody waits for a body, and the next request cuts the connection. A
  // 304 has no length: it would be that of the body which the client has already.
  if (head && status !== 304) res.writeHeader('content-length', `${Buffer.byteLength(body)}`);
  if (head || status === 304) res.endWithoutBody();
  else res.end(body);
}

function requestOf(res: UwsResponse, req: UwsRequest, body: HttpRequest['body']): HttpRequest {
  return {
    body,
    method: req.getMethod().toUpperCase(),
    path: req.getUrl(),
    query: req.getQuery() ?? '',
    get remoteAddress() {
      return unmapIPv4(Buffer.from(res.getRemoteAddressAsText()).toString());
    },
    header: (name) => req.getHeader(name),
    get headers() {
      const headers: Record<string, string> = {};
      req.forEach((name, value) => {
        headers[name] = value;
      });
      return headers;
    },
  };
}
