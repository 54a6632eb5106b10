import type { ClientMessage, ServerMessage } from '../../src/protocol/v1.ts';
import type { WebSocketLike } from '../../web/sdk/types.ts';

const limits = { message: 1000, roomName: 128, rooms: 128, history: 1000 };

/** A WebSocket of the client whose server side is played by the test. */
export class FakeSocket implements WebSocketLike {
  static readonly all: FakeSocket[] = [];
  readonly url: URL;
  /** The secret of the session that the client resumes, from the subprotocols. */
  readonly resume: string | undefined;
  readonly received: ClientMessage[] = [];
  onopen: ((event: never) => unknown) | null = null;
  onmessage: ((event: never) => unknown) | null = null;
  onclose: ((event: never) => unknown) | null = null;
  onerror: ((event: never) => unknown) | null = null;
  closed = false;

  constructor(url: string, protocols: string[]) {
    const [protocol, resume, ...others] = protocols;
    if (protocol !== 'pumphouse.v1' || others.length > 0 || resume?.startsWith('resume.') === false) {
      throw new Error(`unexpected subprotocols ${protocols}`);
    }
    this.resume = resume?.replace('resume.', '');
    this.url = new URL(url);
    FakeSocket.all.push(this);
  }

  send(text: string): void {
    for (const line of text.split('\n')) this.received.push(JSON.parse(line));
  }

  close(): void {
    this.closed = true;
  }

  /** Delivers messages, or raw lines, to the client in one frame. */
  deliver(...messages: (ServerMessage | string)[]): void {
    const lines = messages.map((message) => (typeof message === 'string' ? message : JSON.stringify(message)));
    this.onmessage?.({ data: lines.join('\n') } as never);
  }

  welcome(overrides: object = {}): void {
    const welcome = { t: 'welcome', session: 's', user: 'ada', resume: 'secret', limits, heartbeat: 25 } as const;
    this.deliver({ ...welcome, ...overrides });
  }

  /** Closes the connection as the client sees it. */
  disconnect(code = 1006, reason = ''): void {
    this.onclose?.({ code, reason } as never);
  }

  /** Removes and returns the received messages of type `t`. */
  take<T extends ClientMessage['t']>(t: T): Extract<ClientMessage, { t: T }>[] {
    const taken = this.received.filter((message) => message.t === t);
    this.received.splice(0, this.received.length, ...this.received.filter((message) => message.t !== t));
    return taken as Extract<ClientMessage, { t: T }>[];
  }
}

/** Returns the socket created last. */
export function lastSocket(): FakeSocket {
  const socket = FakeSocket.all.at(-1);
  if (!socket) throw new Error('the client created no socket');
  return socket;
}

/** A `Store` in memory. */
export class MemoryStore {
  readonly #items = new Map<string, string>();
  getItem = (key: string) => this.#items.get(key) ?? null;
  setItem = (key: string, value: string) => void this.#items.set(key, value);
  removeItem = (key: string) => void this.#items.delete(key);
}
