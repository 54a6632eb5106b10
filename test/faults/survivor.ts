import { WebSocket } from 'ws';
import type { Message, Place, ServerMessage } from '../../src/protocol/v1.ts';
import { SUBPROTOCOL } from '../../src/protocol/v1.ts';

const RECONNECT_MS = 30;
const MAX_PENDING = 20;

/**
 * A client that resumes its session and its place whenever its connection ends, resends
 * unacknowledged messages, and records every violation of the protocol's guarantees.
 */
export class Survivor {
  readonly received: Message[] = [];
  /** The `seq` of each acknowledged message, by id. */
  readonly acknowledged = new Map<string, number>();
  readonly violations: string[] = [];
  connections = 0;
  readonly #port: number;
  readonly #name: string;
  /** Sent but unacknowledged messages, as JSON by id. */
  readonly #pending = new Map<string, string>();
  #socket: WebSocket | undefined;
  #resume = '';
  #place: Place | undefined;
  #joined = false;
  #nextId = 0;
  #stopped = false;

  constructor(port: number, name: string) {
    this.#port = port;
    this.#name = name;
    this.#connect();
  }

  /** The number of unacknowledged messages. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Whether the client has ever joined the room. From then on it must receive every message. */
  get joined(): boolean {
    return this.#place !== undefined;
  }

  /** Sends a message unless MAX_PENDING are unacknowledged. */
  send(): void {
    if (this.#pending.size >= MAX_PENDING) return;
    const id = `${this.#name}-${this.#nextId++}`;
    const message = JSON.stringify({ t: 'send', room: 'r', id, data: id });
    this.#pending.set(id, message);
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
      for (const line of String(frame).split('\n')) this.#receive(JSON.parse(line));
    });
    socket.on('close', () => {
      this.#joined = false;
      setTimeout(() => this.#connect(), RECONNECT_MS);
    });
  }

  #receive(message: ServerMessage): void {
    if (message.t === 'welcome') this.#resume = message.resume;
    else if (message.t === 'joined') this.#onJoined(message);
    else if (message.t === 'message') this.#onMessage(message);
    else if (message.t === 'sent') this.#onSent(message.id, message.seq);
    else if (message.t === 'gap') this.violations.push(`a gap from ${message.from} to ${message.to}: ${message.why}`);
    else if (message.t === 'error' && !message.retry) this.violations.push(`${message.code}: ${message.message}`);
  }

  #onJoined({ epoch, seq, recovered }: Extract<ServerMessage, { t: 'joined' }>): void {
    if (this.#place && !recovered)
      this.violations.push(`${epoch} after ${seq} does not resume ${JSON.stringify(this.#place)}`);
    this.#place ??= { epoch, seq };
    this.#joined = true;
    for (const message of this.#pending.values()) this.#socket?.send(message);
  }

  #onMessage(message: Message): void {
    const { epoch, seq } = this.#place as Place;
    if (message.seq !== seq + 1) this.violations.push(`received ${message.seq} after ${seq}`);
    this.#place = { epoch, seq: message.seq };
    this.received.push(message);
  }

  #onSent(id: string, seq: number): void {
    const earlier = this.acknowledged.get(id);
    if (earlier !== undefined && earlier !== seq) this.violations.push(`${id} has the seqs ${earlier} and ${seq}`);
    this.acknowledged.set(id, seq);
    this.#pending.delete(id);
  }
}
