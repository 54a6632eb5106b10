import type { ClientMessage, ServerMessage } from '../../src/protocol/v1.ts';
import type { WebSocketLike } from '../../web/sdk/types.ts';

const limits = { message: 1000, roomName: 128, rooms: 128, history: 1000 };

/** The other side of one socket of the client's, in the test's hands. */
export class FakeSocket implements WebSocketLike {
  static readonly all: FakeSocket[] = [];
  readonly url: URL;
  readonly got: ClientMessage[] = [];
  onopen: ((event: never) => unknown) | null = null;
  onmessage: ((event: never) => unknown) | null = null;
  onclose: ((event: never) => unknown) | null = null;
  onerror: ((event: never) => unknown) | null = null;
  closed = false;

  constructor(url: string, protocol: string) {
    if (protocol !== 'pumphouse.v1') throw new Error(protocol);
    this.url = new URL(url);
    FakeSocket.all.push(this);
  }

  send(text: string): void {
    for (const line of text.split('\n')) this.got.push(JSON.parse(line));
  }

  close(): void {
    this.closed = true;
  }

  /** Says these to the client, in one frame. */
  say(...messages: (ServerMessage | string)[]): void {
    const lines = messages.map((message) => (typeof message === 'string' ? message : JSON.stringify(message)));
    this.onmessage?.({ data: lines.join('\n') } as never);
  }

  welcome(more: object = {}): void {
    const session = { t: 'welcome', session: 's', user: 'ada', resume: 'secret', limits, heartbeat: 25 } as const;
    this.say({ ...session, ...more });
  }

  /** The connection is over, for the client. */
  lose(code = 1006, reason = ''): void {
    this.onclose?.({ code, reason } as never);
  }

  /** What the client sent with this `t` since it was last asked. */
  take<T extends ClientMessage['t']>(t: T): Extract<ClientMessage, { t: T }>[] {
    const taken = this.got.filter((message) => message.t === t);
    this.got.splice(0, this.got.length, ...this.got.filter((message) => message.t !== t));
    return taken as Extract<ClientMessage, { t: T }>[];
  }
}

/** The socket that the client made last. */
export function lastSocket(): FakeSocket {
  const socket = FakeSocket.all.at(-1);
  if (!socket) throw new Error('no socket was made');
  return socket;
}

/** A store of strings, as `localStorage` is one. */
export class MemoryStore {
  readonly kept = new Map<string, string>();
  getItem = (key: string) => this.kept.get(key) ?? null;
  setItem = (key: string, value: string) => void this.kept.set(key, value);
  removeItem = (key: string) => void this.kept.delete(key);
}
