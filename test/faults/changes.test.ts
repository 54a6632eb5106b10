import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Change, ChangeOp, Json, Message, Place, SendChange, ServerMessage } from '../../src/protocol/v1.ts';
import { SUBPROTOCOL } from '../../src/protocol/v1.ts';
import { until } from '../integration/server.ts';
import { type Server, startServer } from '../server.ts';

/** `KILLS=50 npx vitest run test/faults/changes.test.ts` is the long campaign. */
const KILLS = Number(process.env['KILLS'] ?? 3);
const TIMEOUT_MS = 60_000 + KILLS * 20_000;
const OPS: readonly ChangeOp[] = ['edit', 'delete', 'react', 'unreact'];

/** What a client shows of a message. */
interface Shown {
  data: Json | undefined;
  changed: number;
  readonly reactions: Map<string, Set<string>>;
}

type Fields = { data?: Json } | Pick<SendChange, 'op' | 'of' | 'data' | 'reaction'>;

/** A message or a change whose `sent` has come. */
interface Acknowledged {
  readonly seq: number;
  readonly fields: Fields;
}

/** A client that applies changes as PROTOCOL.md says, and resumes whenever its connection ends. */
class Reader {
  readonly messages = new Map<number, Shown>();
  /** The id of each message and change that it received, by seq. */
  readonly received = new Map<number, string>();
  readonly acknowledged = new Map<string, Acknowledged>();
  readonly violations: string[] = [];
  readonly #port: number;
  readonly #name: string;
  readonly #pending = new Map<string, Fields>();
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

  send(fields: Fields): void {
    if (this.#pending.size > 20) return;
    const id = `${this.#name}-${this.#ids++}`;
    this.#pending.set(id, fields);
    if (this.#place) this.#post(id, fields);
  }

  #post(id: string, fields: Fields): void {
    this.#write({ t: 'send', room: 'r', id, ...fields });
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
      if (!message.recovered) this.violations.push(`did not recover: ${JSON.stringify(message)}`);
      this.#place = { epoch: message.epoch, seq: message.seq };
      for (const [id, fields] of this.#pending) this.#post(id, fields);
    } else if (message.t === 'message' || message.t === 'change') {
      const { seq = 0, epoch = '' } = this.#place ?? {};
      if (message.seq !== seq + 1) this.violations.push(`received ${message.seq} after ${seq}`);
      this.#place = { epoch, seq: message.seq };
      this.received.set(message.seq, message.id);
      if (message.t === 'message') this.#show(message);
      else this.#change(message);
    } else if (message.t === 'gap') this.violations.push(`a gap: ${JSON.stringify(message)}`);
    else if (message.t === 'sent') this.#sent(message.id, message.seq);
    else if (message.t === 'error' && !message.retry) this.#refused(message.id ?? '', message.code);
  }

  #sent(id: string, seq: number): void {
    const before = this.acknowledged.get(id);
    if (before && before.seq !== seq) this.violations.push(`${id} has the seqs ${before.seq} and ${seq}`);
    const fields = this.#pending.get(id);
    if (fields) this.acknowledged.set(id, { seq, fields });
    this.#pending.delete(id);
  }

  #refused(id: string, code: string): void {
    if (code !== 'not_found' && code !== 'forbidden') this.violations.push(`${id} is refused with ${code}`);
    if (this.acknowledged.has(id)) this.violations.push(`${id} is refused with ${code} after its acknowledgement`);
    this.#pending.delete(id);
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

/** Returns which of the texts are in a file of a folder. */
function textsIn(folder: string, texts: readonly string[]): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1'));
  return texts.filter((text) => files.some((file) => file.includes(text)));
}

/** Returns the texts of messages that are deleted, and of their edits. */
function goneTexts(readers: readonly Reader[]): string[] {
  const [{ messages }] = readers as [Reader];
  return readers
    .flatMap(({ acknowledged }) => [...acknowledged.values()])
    .flatMap(({ seq, fields }) => {
      const shown = messages.get('of' in fields ? fields.of : seq);
      return typeof fields.data === 'string' && shown && shown.data === undefined ? fields.data : [];
    });
}

test(
  `edits, deletions and reactions end equal for everyone across ${KILLS} kills of the server`,
  async () => {
    const data = mkdtempSync(join(tmpdir(), 'pumphouse-kill-changes-'));
    const flags = ['--engine', 'lmdb', '--data', data, '--publish-rate', 'off'];
    let server: Server = await startServer(flags);
    const readers = ['ada', 'bob'].map((name) => new Reader(server.port, name));
    const pick = <T>(from: readonly T[]) => from[Math.floor(Math.random() * from.length)] as T;
    let texts = 0;
    const text = () => `the text ${++texts} of this run.`;
    const sending = setInterval(() => {
      for (const reader of readers) {
        const of = Math.max(1, (reader.place?.seq ?? 0) - Math.floor(Math.random() * 60));
        const op = pick(OPS);
        if (Math.random() < 0.3) reader.send({ data: text() });
        else if (op === 'edit') reader.send({ op, of, data: text() });
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
      expect(readers.flatMap(({ violations }) => violations)).toEqual([]);
      expect(ada.messages.size).toBeGreaterThan(20);
      expect(ada.shown()).toBe(bob.shown());
      // Each is in the log once, and what is acknowledged is there.
      expect([...ada.received]).toEqual([...bob.received]);
      expect(new Set(ada.received.values()).size).toBe(ada.received.size);
      for (const { acknowledged } of readers) {
        for (const [id, { seq }] of acknowledged) expect(ada.received.get(seq), `${id} at ${seq}`).toBe(id);
      }
      late = new Reader(server.port, 'eve');
      await until('the late one has all', () => late?.place?.seq === ada.place?.seq && (late?.messages.size ?? 0) > 0);
      const first = Math.min(...late.messages.keys());
      const retained = ada
        .shown()
        .split('\n')
        .filter((line) => JSON.parse(line)[0] >= first);
      expect(late.shown().split('\n')).toEqual(retained);
      const gone = goneTexts(readers);
      expect(gone.length).toBeGreaterThan(20);
      // Those in memory and in the journal go with the next store. Those that a kill has left in
      // the file are searched for from the start on.
      await expect.poll(() => textsIn(data, gone), { timeout: 30_000 }).toEqual([]);
      if (process.env['KILLS']) {
        const acknowledged = ada.acknowledged.size + bob.acknowledged.size;
        console.log(
          `${KILLS} kills, ${ada.received.size} records, ${acknowledged} acknowledged, ${gone.length} texts deleted`,
        );
      }
    } finally {
      clearInterval(sending);
      for (const reader of [...readers, late]) reader?.stop();
      await server.kill('SIGKILL');
      rmSync(data, { recursive: true, force: true });
    }
  },
  TIMEOUT_MS,
);
