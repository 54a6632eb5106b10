import type { IncomingHttpHeaders } from 'node:http';
import { type Failure, open, type RequestInit } from './exchange.ts';
import type { Late, Scope } from './scope.ts';
import type { Walk } from './walk.ts';
import { Watch } from './watch.ts';

const MAX_BODY = 64 * 1024;

/** An event, with the time of its arrival by `performance.now()`. */
export interface StreamEvent {
  /** `message` for an event without a name. */
  readonly name: string;
  readonly data: string;
  readonly at: number;
}

export type OpenedStream = { readonly kind: 'stream'; readonly stream: EventStream } | Failure;

/** A stream of server-sent events. */
export class EventStream {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Milliseconds from the start of the connection to the headers. */
  readonly ms: number;
  readonly events: StreamEvent[] = [];
  /** All text, of a response that is not a stream. */
  body = '';
  ended = false;
  readonly #watch: Watch;
  #rest = '';

  private constructor(status: number, headers: IncomingHttpHeaders, ms: number, scope: Scope) {
    this.status = status;
    this.headers = headers;
    this.ms = ms;
    this.#watch = new Watch(scope);
  }

  /** Requests a stream. The scope ends it. */
  static async open(walk: Walk, scope: Scope, url: string, init: RequestInit): Promise<OpenedStream> {
    const headers = { accept: 'text/event-stream', 'accept-encoding': 'gzip, deflate, br', ...walk.authorization };
    const opened = await open(walk, scope, url, { ...init, headers: { ...headers, ...init.headers } });
    if (opened.kind === 'failed') return opened;
    const { response, ms } = opened;
    const stream = new EventStream(response.statusCode ?? 0, response.headers, ms, scope);
    response.setEncoding('utf8');
    response.on('data', (text: string) => stream.#receive(text));
    response.once('close', () => {
      stream.ended = true;
      stream.#watch.changed();
    });
    return { kind: 'stream', stream };
  }

  /** Waits until `find` returns a value, and at most `ms`. It looks at whatever arrives. */
  until<T>(find: () => T | undefined, ms?: number): Promise<T | Late> {
    return this.#watch.until(find, ms);
  }

  #receive(text: string): void {
    if (this.body.length < MAX_BODY) this.body += text;
    const blocks = (this.#rest + text).split('\n\n');
    this.#rest = (blocks.pop() ?? '').slice(-MAX_BODY);
    for (const block of blocks) this.#parse(block);
    this.#watch.changed();
  }

  #parse(block: string): void {
    const fields = block.split('\n').map((line) => /^(\w+): ?(.*)$/.exec(line) ?? []);
    const values = (name: string) => fields.filter(([, field]) => field === name).map(([, , value = '']) => value);
    const data = values('data').join('\n');
    if (data !== '') this.events.push({ name: values('event').at(-1) ?? 'message', data, at: performance.now() });
  }
}
