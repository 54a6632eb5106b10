/** Why a stream has ended. `retryAfter` is in milliseconds, until the next attempt. */
export interface StreamEnd {
  readonly code: number;
  readonly reason: string;
  readonly retryAfter?: number | undefined;
}

/** Receives the events of a stream. No call follows `onEnd`, or `close()`. */
interface StreamListener {
  onLine(line: string): void;
  /** The server shows that the stream is alive. */
  onComment(): void;
  onEnd(end: StreamEnd): void;
}

// The close codes of refusals, which have an HTTP status here, and some a type.
const CODES: Readonly<Record<number, number>> = { 401: 4501, 403: 4503, 429: 4005, 503: 4006 };
const CODES_BY_TYPE: Readonly<Record<string, number>> = { draining: 1001, busy: 4005 };

const LOST: StreamEnd = { code: 1006, reason: '' };

/** The server's messages, as the response to a request of `/api/v1/session/events`. */
export class EventStream {
  readonly #listener: StreamListener;
  readonly #abort = new AbortController();
  /** When bytes arrived last, as in `performance.now()`. */
  heardAt = performance.now();
  /** As of a WebSocket: the welcome is all that counts. */
  readonly opened = false;
  #name = '';
  #data: string[] = [];

  constructor(request: (signal: AbortSignal) => Promise<Response>, listener: StreamListener) {
    this.#listener = listener;
    void this.#run(request);
  }

  close(): void {
    this.#abort.abort();
  }

  async #run(request: (signal: AbortSignal) => Promise<Response>): Promise<void> {
    const { signal } = this.#abort;
    let end = LOST;
    try {
      const response = await request(signal);
      end = isEventStream(response) ? await this.#read(response.body as ReadableStream) : await refusalOf(response);
    } catch {
      // The network failed, or the stream is closed.
    }
    if (signal.aborted) return;
    this.close();
    this.#listener.onEnd(end);
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<StreamEnd> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let rest = '';
    while (true) {
      const { done, value } = await reader.read();
      if (done) return LOST;
      this.heardAt = performance.now();
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = lines.pop() as string;
      for (const line of lines) {
        const end = this.#parse(line);
        if (end) return end;
        if (this.#abort.signal.aborted) return LOST;
      }
    }
  }

  /** @returns the end of the stream, if the line completes that event. */
  #parse(line: string): StreamEnd | undefined {
    if (line.startsWith(':')) this.#listener.onComment();
    else if (line.startsWith('event: ')) this.#name = line.slice(7);
    else if (line.startsWith('data: ')) this.#data.push(line.slice(6));
    if (line !== '') return undefined;
    const [name, data] = [this.#name, this.#data];
    this.#name = '';
    this.#data = [];
    if (name === 'close') return JSON.parse(data.join('\n'));
    for (const each of data) if (!this.#abort.signal.aborted) this.#listener.onLine(each);
    return undefined;
  }
}

function isEventStream({ ok, headers, body }: Response): boolean {
  return ok && body !== null && headers.get('content-type')?.startsWith('text/event-stream') === true;
}

/** Returns the end that a WebSocket would have had. A proxy's response has no problem details. */
async function refusalOf(response: Response): Promise<StreamEnd> {
  const { status } = response;
  const problem = await problemOf(response);
  if (!problem) return { code: 1006, reason: `HTTP answered with status ${status}` };
  const { type = '', detail: reason } = problem;
  const code = CODES_BY_TYPE[type.split('#')[1] ?? ''] ?? CODES[status] ?? 1006;
  return { code, reason, retryAfter: code === 4005 || code === 4006 ? retryAfterOf(response) : undefined };
}

/** Returns the header Retry-After in milliseconds. */
export function retryAfterOf({ headers }: Response): number | undefined {
  const seconds = headers.get('retry-after');
  return seconds !== null && /^\d+$/.test(seconds) ? Number(seconds) * 1000 : undefined;
}

/** The problem details of an error, as far as they are used here. */
interface Problem {
  readonly type?: string;
  readonly detail: string;
}

/** Returns the problem details of an error, or undefined if it is not the server's. */
export async function problemOf(response: Response): Promise<Problem | undefined> {
  if (response.headers.get('content-type') !== 'application/problem+json') return undefined;
  return response.json().catch(() => undefined);
}
