import { problemOf, retryAfterOf } from './event-stream.ts';

// Milliseconds before a failed request is repeated. The delay doubles up to the maximum.
const FIRST_DELAY = 250;
const MAX_DELAY = 4_000;

// Milliseconds after which a request counts as failed, and a failing server is given up.
const TIMEOUT = 15_000;
const GIVE_UP_AFTER = 30_000;

// How many messages one request carries. The server takes 128.
const MAX_MESSAGES = 64;

interface PostHost {
  post(body: string, signal: AbortSignal): Promise<Response>;
  /** Returns how many bytes one request may carry. */
  maxBytes(): number;
  /** Handles a message of the server. */
  onLine(line: string): void;
  /** Called after each answer. */
  onAnswer(): void;
  /** The server does not take the messages. The queue must be stopped. */
  onFailure(code: number, reason: string): void;
}

type Outcome =
  | { readonly kind: 'answered' }
  /** @param after milliseconds, if the server named them. */
  | { readonly kind: 'retry'; readonly after?: number | undefined }
  | { readonly kind: 'failed'; readonly code: number; readonly reason: string };

/**
 * The client's messages on their way to `/api/v1/session`. One request at a time keeps them in
 * order. A request that fails is repeated: the server counts each message by its id.
 */
export class PostQueue {
  readonly #host: PostHost;
  readonly #abort = new AbortController();
  #waiting: string[] = [];
  /** The messages of the current request. */
  #posting: string[] = [];
  #failures = 0;
  #failingSince = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(host: PostHost) {
    this.#host = host;
  }

  add(text: string): void {
    this.#waiting.push(text);
    // All messages of one turn go together.
    if (this.#waiting.length === 1 && this.#posting.length === 0) queueMicrotask(() => void this.#postNext());
  }

  stop(): void {
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  async #postNext(): Promise<void> {
    if (this.#posting.length > 0 || this.#waiting.length === 0 || this.#abort.signal.aborted) return;
    this.#posting = this.#takeBatch();
    const outcome = await this.#post(this.#posting.join('\n'));
    if (this.#abort.signal.aborted) return;
    if (outcome.kind === 'failed') {
      this.#host.onFailure(outcome.code, outcome.reason);
    } else if (outcome.kind === 'retry') {
      this.#waiting.unshift(...this.#posting.filter(isRepeatable));
      this.#posting = [];
      this.#retry(outcome.after);
    } else {
      this.#posting = [];
      this.#failures = 0;
      this.#host.onAnswer();
      void this.#postNext();
    }
  }

  #retry(after: number | undefined): void {
    const now = performance.now();
    if (this.#failures++ === 0) this.#failingSince = now;
    if (now - this.#failingSince > GIVE_UP_AFTER) {
      this.#host.onFailure(1006, 'the server takes no messages over HTTP');
      return;
    }
    const delay = after ?? Math.random() * Math.min(MAX_DELAY, FIRST_DELAY * 2 ** this.#failures);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#postNext(), delay);
  }

  #takeBatch(): string[] {
    const encoder = new TextEncoder();
    let bytes = this.#host.maxBytes();
    const count = this.#waiting.findIndex((text, i) => {
      bytes -= encoder.encode(text).length + 1;
      return i > 0 && (bytes < -1 || i >= MAX_MESSAGES);
    });
    return this.#waiting.splice(0, count < 0 ? this.#waiting.length : count);
  }

  async #post(body: string): Promise<Outcome> {
    const signal = this.#abort.signal;
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    const timer = setTimeout(abort, TIMEOUT);
    signal.addEventListener('abort', abort, { once: true });
    try {
      const response = await this.#host.post(body, attempt.signal);
      if (!response.ok) return await outcomeOf(response);
      const lines = (await response.text()).split('\n');
      for (const line of lines) if (line !== '' && !signal.aborted) this.#host.onLine(line);
      return { kind: 'answered' };
    } catch {
      return { kind: 'retry' };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }
}

async function outcomeOf(response: Response): Promise<Outcome> {
  const { status } = response;
  if (status === 429 || status >= 500) return { kind: 'retry', after: retryAfterOf(response) };
  const reason = (await problemOf(response))?.detail ?? `HTTP answered with status ${status}`;
  // A new connection asks for a new token, and starts a new session if the server forgot this one.
  if (status === 401) return { kind: 'failed', code: 4004, reason };
  return { kind: 'failed', code: status === 403 ? 4503 : 1006, reason };
}

/** A signal whose fate is unknown is dropped: unlike all other messages, it could arrive twice. */
function isRepeatable(text: string): boolean {
  return !text.startsWith('{"t":"signal"');
}
