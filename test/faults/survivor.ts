import { WebSocket } from 'ws';
import type { Message, Place, ServerMessage } from '../../src/protocol/v1.ts';
import { SUBPROTOCOL } from '../../src/protocol/v1.ts';

const AGAIN_MS = 30;
const UNANSWERED = 20;

/**
 * A client that will not be got rid of: it comes back to its session and its place whenever it is cut off, sends again what was
 * not answered, and notes everything that must never happen.
 */
export class Survivor {
  readonly heard: Message[] = [];
  /** The `seq` of each of its messages that was answered, by id. */
  readonly sent = new Map<string, number>();
  readonly wrong: string[] = [];
  connections = 0;
  readonly #port: number;
  readonly #name: string;
  readonly #unanswered = new Map<string, string>();
  #socket: WebSocket | undefined;
  #resume = '';
  #place: Place | undefined;
  #joined = false;
  #said = 0;
  #stopped = false;

  constructor(port: number, name: string) {
    this.#port = port;
    this.#name = name;
    this.#connect();
  }

  get unanswered(): number {
    return this.#unanswered.size;
  }

  /** Whether it has ever been in the room: from then on it must hear everything. */
  get joined(): boolean {
    return this.#place !== undefined;
  }

  /** Says one more thing, unless much of what it said is not answered yet. */
  say(): void {
    if (this.#unanswered.size >= UNANSWERED) return;
    const id = `${this.#name}-${this.#said++}`;
    const message = JSON.stringify({ t: 'send', room: 'r', id, data: id });
    this.#unanswered.set(id, message);
    if (this.#joined) this.#socket?.send(message);
  }

  stop(): void {
    this.#stopped = true;
    this.#socket?.terminate();
  }

  #connect(): void {
    if (this.#stopped) return;
    const socket = new WebSocket(`ws://127.0.0.1:${this.#port}/ws?resume=${this.#resume}`, SUBPROTOCOL);
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('open', () => {
      this.connections++;
      socket.send(JSON.stringify({ t: 'join', room: 'r', since: this.#place }));
    });
    socket.on('message', (frame) => {
      for (const line of String(frame).split('\n')) this.#hear(JSON.parse(line));
    });
    socket.on('close', () => {
      this.#joined = false;
      setTimeout(() => this.#connect(), AGAIN_MS);
    });
  }

  #hear(message: ServerMessage): void {
    if (message.t === 'welcome') this.#resume = message.resume;
    else if (message.t === 'joined') this.#rejoined(message);
    else if (message.t === 'message') this.#take(message);
    else if (message.t === 'sent') this.#answered(message.id, message.seq);
    else if (message.t === 'gap') this.wrong.push(`a gap from ${message.from} to ${message.to}: ${message.why}`);
    else if (message.t === 'error' && !message.retry) this.wrong.push(`${message.code}: ${message.message}`);
  }

  #rejoined({ epoch, seq, recovered }: Extract<ServerMessage, { t: 'joined' }>): void {
    if (this.#place && !recovered)
      this.wrong.push(`${epoch} after ${seq} is not where it was: ${JSON.stringify(this.#place)}`);
    this.#place ??= { epoch, seq };
    this.#joined = true;
    for (const message of this.#unanswered.values()) this.#socket?.send(message);
  }

  #take(message: Message): void {
    const { epoch, seq } = this.#place as Place;
    if (message.seq !== seq + 1) this.wrong.push(`${message.seq} after ${seq}`);
    this.#place = { epoch, seq: message.seq };
    this.heard.push(message);
  }

  #answered(id: string, seq: number): void {
    const before = this.sent.get(id);
    if (before !== undefined && before !== seq) this.wrong.push(`${id} is ${before} and ${seq}`);
    this.sent.set(id, seq);
    this.#unanswered.delete(id);
  }
}
