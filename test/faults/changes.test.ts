import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Change, ChangeOp, Json, Message, Place, SendChange, ServerMessage } from '../../src/protocol/v1.ts';
import { SUBPROTOCOL } from '../../src/protocol/v1.ts';
import { until } from '../integration/server.ts';
import { type Server, startServer } from '../server.ts';

const KILLS = Number(process.env['KILLS'] ?? 3);
const OPS: readonly ChangeOp[] = ['edit', 'delete', 'react', 'unreact'];

/** What a client shows of a message. */
interface Shown {
  data: Json | undefined;
  changed: number;
  readonly reactions: Map<string, Set<string>>;
}

/** A client that applies changes as PROTOCOL.md says, and resumes whenever its connection ends. */
class Reader {
  readonly messages = new Map<number, Shown>();
  readonly #port: number;
  readonly #name: string;
  readonly #pending = new Map<string, object>();
  #socket: WebSocket | undefined;
  #resume = '';
  #place: Place | undefined;
  #ids = 0;
  #stopped = false;

  constructor(port: number, name: string) {
    this.#port = port;
    this.#name = name;
    this.#connect();
  }

  get place(): Place | undefined {
    return this.#place;
  }

  get pending(): number {
    return this.#pending.size;
  }

  send(fields: { data?: Json } | Pick<SendChange, 'op' | 'of' | 'data' | 'reaction'>): void {
    if (this.#pending.size > 20) return;
    const id = `${this.#name}-${this.#ids++}`;
    this.#pending.set(id, { t: 'send', room: 'r', id, ...fields });
    if (this.#place) this.#write(this.#pending.get(id));
  }

  /** What it shows, as a text to compare. */
  shown(): string {
    const all = [...this.messages].sort(([a], [b]) => a - b);
    const reacted = ({ reactions }: Shown) => [...reactions].map(([text, users]) => [text, [...users].sort()]).sort();
    return all.map(([seq, shown]) => JSON.stringify([seq, shown.data, reacted(shown)])).join('\n');
  }

  stop(): void {
    this.#stopped = true;
    this.#socket?.terminate();
  }

  #write(message: unknown): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #connect(): void {
    if (this.#stopped) return;
    const protocols = this.#resume === '' ? [SUBPROTOCOL] : [SUBPROTOCOL, `resume.${this.#resume}`];
    const socket = new WebSocket(`ws://127.0.0.1:${this.#port}/ws?user=${this.#name}`, protocols);
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('close', () => setTimeout(() => this.#connect(), 30));
    socket.on('message', (frame) => {
      for (const line of String(frame).split('\n')) this.#receive(JSON.parse(line));
    });
  }

  #receive(message: ServerMessage): void {
    if (message.t === 'welcome') {
      this.#resume = message.resume;
      this.#write({
        t: 'join',
        room: 'r',
        changes: true,
        ...(this.#place ? { since: this.#place } : { history: 1000 }),
      });
    } else if (message.t === 'joined') {
      this.#place = { epoch: message.epoch, seq: message.seq };
      for (const send of this.#pending.values()) this.#write(send);
    } else if (message.t === 'message' || message.t === 'change') {
      this.#place = { epoch: this.#place?.epoch ?? '', seq: message.seq };
      if (message.t === 'message') this.#show(message);
      else this.#change(message);
    } else if (message.t === 'sent' || (message.t === 'error' && !message.retry))
      this.#pending.delete(message.id ?? '');
  }

  #show({ seq, data, changed = 0, reactions = [] }: Message): void {
    const reacted = reactions.map(({ reaction, users }) => [reaction, new Set(users)] as const);
    this.messages.set(seq, { data, changed, reactions: new Map(reacted) });
  }

  #change({ seq, op, of, from, data, reaction = '' }: Change): void {
    const message = this.messages.get(of);
    if (!message || seq <= message.changed) return;
    message.changed = seq;
    const { reactions } = message;
    if (op === 'react') reactions.set(reaction, (reactions.get(reaction) ?? new Set()).add(from));
    else if (op === 'unreact') {
      reactions.get(reaction)?.delete(from);
      if (reactions.get(reaction)?.size === 0) reactions.delete(reaction);
    } else message.data = op === 'edit' ? data : undefined;
    if (op === 'delete') reactions.clear();
  }
}

test(`edits, deletions and reactions end equal for everyone across ${KILLS} kills of the server`, async () => {
  const data = mkdtempSync(join(tmpdir(), 'pumphouse-kill-changes-'));
  const flags = ['--engine', 'lmdb', '--data', data, '--publish-rate', 'off'];
  let server: Server = await startServer(flags);
  const readers = ['ada', 'bob'].map((name) => new Reader(server.port, name));
  const pick = <T>(from: readonly T[]) => from[Math.floor(Math.random() * from.length)] as T;
  const sending = setInterval(() => {
    for (const reader of readers) {
      const of = Math.max(1, (reader.place?.seq ?? 0) - Math.floor(Math.random() * 60));
      const op = pick(OPS);
      if (Math.random() < 0.3) reader.send({ data: Math.random() });
      else if (op === 'edit') reader.send({ op, of, data: Math.random() });
      else reader.send({ op, of, ...(op !== 'delete' && { reaction: pick(['a', 'b', 'c']) }) });
    }
  }, 4);
  let late: Reader | undefined;
  try {
    await until('both have joined', () => readers.every(({ place }) => place !== undefined));
    for (let kills = 0; kills < KILLS; kills++) {
      // Before, during and after the store's transactions, which run once a second.
      await sleep(500 + Math.random() * 900);
      await server.kill('SIGKILL');
      server = await startServer(flags, server.port);
    }
    await sleep(300);
    clearInterval(sending);
    const [ada, bob] = readers as [Reader, Reader];
    await until('everything is answered', () => readers.every(({ pending }) => pending === 0));
    await until('both have all', () => ada.place?.seq === bob.place?.seq);
    expect(ada.messages.size).toBeGreaterThan(20);
    expect(ada.shown()).toBe(bob.shown());
    late = new Reader(server.port, 'eve');
    await until('the late one has all', () => late?.place?.seq === ada.place?.seq && (late?.messages.size ?? 0) > 0);
    const first = Math.min(...late.messages.keys());
    const retained = ada
      .shown()
      .split('\n')
      .filter((line) => JSON.parse(line)[0] >= first);
    expect(late.shown().split('\n')).toEqual(retained);
  } finally {
    clearInterval(sending);
    for (const reader of [...readers, late]) reader?.stop();
    await server.kill('SIGKILL');
    rmSync(data, { recursive: true, force: true });
  }
}, 90_000);
