import type { ClientMessage, ServerMessage } from '../../src/protocol/v1.ts';

const limits = { message: 1000, roomName: 128, rooms: 128, history: 1000 };

/** A stream of the client whose server side is played by the test. */
export class FakeStream {
  readonly headers: Headers;
  /** The messages in the body of the request. */
  readonly requested: ClientMessage[];
  readonly response: Promise<Response>;
  isClosed = false;
  #respond!: (response: Response) => void;
  #writer!: ReadableStreamDefaultController<Uint8Array>;

  constructor(init: RequestInit) {
    this.headers = new Headers(init.headers);
    this.requested = linesOf(init.body as string) as ClientMessage[];
    this.response = new Promise((resolve, reject) => {
      this.#respond = resolve;
      init.signal?.addEventListener('abort', () => {
        this.isClosed = true;
        reject(new Error('aborted'));
      });
    });
    this.response.catch(() => {});
  }

  open(overrides: object = {}): void {
    const body = new ReadableStream<Uint8Array>({
      start: (writer) => {
        this.#writer = writer;
      },
    });
    this.#respond(new Response(body, { headers: { 'content-type': 'text/event-stream; charset=utf-8' } }));
    const welcome = { t: 'welcome', session: 's', user: 'ada', resume: 'secret', limits, heartbeat: 25 } as const;
    this.deliver({ ...welcome, ...overrides });
  }

  refuse(status: number, problem: object, headers: Record<string, string> = {}): void {
    const type = { 'content-type': 'application/problem+json' };
    this.#respond(new Response(JSON.stringify(problem), { status, headers: { ...type, ...headers } }));
  }

  deliver(...messages: ServerMessage[]): void {
    this.write(messages.map((message) => `data: ${JSON.stringify(message)}\n`).join(''), '\n');
  }

  /** Writes the parts of an event one by one. */
  write(...parts: string[]): void {
    for (const part of parts) this.#writer.enqueue(new TextEncoder().encode(part));
  }

  end(): void {
    this.#writer.close();
  }
}

/** A request of the client with messages. */
export class FakePost {
  readonly headers: Headers;
  readonly messages: ClientMessage[];
  readonly response: Promise<Response>;
  answer!: (...messages: ServerMessage[]) => void;
  refuse!: (status: number, headers?: Record<string, string>) => void;
  fail!: () => void;

  constructor(init: RequestInit) {
    this.headers = new Headers(init.headers);
    this.messages = linesOf(init.body as string) as ClientMessage[];
    this.response = new Promise((resolve, reject) => {
      this.answer = (...messages) =>
        resolve(new Response(messages.map((each) => `${JSON.stringify(each)}\n`).join('')));
      this.refuse = (status, headers = {}) => resolve(new Response('', { status, headers }));
      this.fail = () => reject(new TypeError('fetch failed'));
      init.signal?.addEventListener('abort', () => reject(new Error('aborted')));
    });
    this.response.catch(() => {});
  }
}

/** The server of a client over HTTP. */
export class FakeHttp {
  readonly streams: FakeStream[] = [];
  readonly posts: FakePost[] = [];

  readonly fetch = ((url: URL, init: RequestInit) => {
    const list: (FakeStream | FakePost)[] = url.pathname.endsWith('/events') ? this.streams : this.posts;
    const request = url.pathname.endsWith('/events') ? new FakeStream(init) : new FakePost(init);
    list.push(request);
    return request.response;
  }) as typeof fetch;

  get stream(): FakeStream {
    return this.streams.at(-1) as FakeStream;
  }

  get post(): FakePost {
    return this.posts.at(-1) as FakePost;
  }
}

function linesOf(text: string): unknown[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}
