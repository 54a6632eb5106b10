import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { RedisEngine, type RedisOptions } from '../../src/engine/redis/redis.ts';
import type { Commit, Draft, EngineState, Move, Outcome, Position } from '../../src/hub/engine.ts';
import type { LogRecord } from '../../src/hub/log.ts';

export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 8_000): Promise<void> {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`not within ${ms} ms: ${what}`);
}

/** A TCP proxy before Redis that loses or delays what passes. */
export class LossyProxy {
  /** Where new connections go. */
  target: number;
  /** Replies and pushes are swallowed. */
  dropsReplies = false;
  /** Requests are kept until `deliver`, even when the client has gone. */
  holdsRequests = false;
  readonly #server: Server;
  readonly #pairs = new Set<{ client: Socket; upstream: Socket }>();
  readonly #held: (() => void)[] = [];

  private constructor(target: number) {
    this.target = target;
    this.#server = createServer((client) => this.#accept(client));
  }

  static async start(target: number): Promise<LossyProxy> {
    const proxy = new LossyProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** Ends the clients' connections. Those to Redis stay, with the requests that are held. */
  cut(): void {
    for (const { client } of this.#pairs) client.destroy();
  }

  /** Passes on the requests that were held. */
  deliver(): void {
    for (const write of this.#held.splice(0)) write();
  }

  close(): void {
    for (const { client, upstream } of this.#pairs) {
      client.destroy();
      upstream.destroy();
    }
    this.#server.close();
  }

  #accept(client: Socket): void {
    const upstream = connect(this.target, '127.0.0.1');
    const pair = { client, upstream };
    this.#pairs.add(pair);
    client.on('data', (chunk) => {
      if (this.holdsRequests) this.#held.push(() => upstream.write(chunk));
      else upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      if (!this.dropsReplies && !client.destroyed) client.write(chunk);
    });
    client.on('error', () => {});
    upstream.on('error', () => {});
    client.on('close', () => !this.holdsRequests && this.#held.length === 0 && upstream.destroy());
    upstream.on('close', () => {
      client.destroy();
      this.#pairs.delete(pair);
    });
  }
}

/** An engine as one node has it, with all that its listener received, checked for holes. */
export class Node {
  readonly engine: RedisEngine;
  readonly heads = new Map<string, number>();
  readonly commits: Commit[] = [];
  readonly moves: Move[] = [];
  readonly skips: Move[] = [];
  readonly states: EngineState[] = [];
  readonly errors: string[] = [];
  readonly warnings: string[] = [];
  /** Outcomes by room, and for each the head at that time. */
  readonly outcomes = new Map<string, Outcome[]>();
  /** By room: the records of today's life of the log. */
  readonly #records = new Map<string, LogRecord[]>();
  /** Breaches of the contract. */
  readonly breaches: string[] = [];

  private constructor(options: RedisOptions) {
    this.engine = new RedisEngine({
      onError: (error) => this.errors.push(error.message),
      onWarning: (warning) => this.warnings.push(warning),
      ...options,
    });
  }

  static async start(url: RedisOptions['url'], options: Partial<RedisOptions> = {}): Promise<Node> {
    const node = new Node({ url, ...options });
    await node.engine.open({
      committed: (commit) => node.#committed(commit),
      decided: ({ room, outcomes }) => {
        for (const outcome of outcomes) {
          if (outcome.kind === 'stored' && outcome.seq > node.head(room)) node.breaches.push(`early ${outcome.seq}`);
        }
        node.outcomes.set(room, [...node.decided(room), ...outcomes]);
      },
      moved: (move) => {
        node.moves.push(move);
        node.heads.set(move.room, move.seq);
        node.#records.set(
          move.room,
          node.records(move.room).filter(({ seq }) => seq <= move.seq),
        );
      },
      skipped: (move) => {
        node.skips.push(move);
        node.heads.set(move.room, move.seq);
      },
      changed: (state) => node.states.push(state),
    });
    return node;
  }

  async attach(room: string): Promise<Position> {
    const position = await this.engine.attach(room);
    this.heads.set(room, position.seq);
    return position;
  }

  head(room: string): number {
    return this.heads.get(room) ?? 0;
  }

  records(room: string): LogRecord[] {
    return this.#records.get(room) ?? [];
  }

  texts(room: string): string[] {
    return this.records(room).map(({ data }) => data);
  }

  decided(room: string): Outcome[] {
    return this.outcomes.get(room) ?? [];
  }

  /** Appends without waiting. An element `[text, id]` has an id. */
  send(room: string, ...texts: (string | [text: string, id: string])[]): void {
    const drafts = texts.map((text) => (typeof text === 'string' ? draft(room, text) : draft(room, ...text)));
    this.engine.append(room, drafts);
  }

  /** Appends and waits for the outcomes. */
  async append(room: string, ...texts: (string | [text: string, id: string])[]): Promise<Outcome[]> {
    const before = this.decided(room).length;
    this.send(room, ...texts);
    await until('the drafts are decided', () => this.decided(room).length >= before + texts.length, 15_000);
    return this.decided(room).slice(before);
  }

  #committed(commit: Commit): void {
    this.commits.push(commit);
    const records = this.#records.get(commit.room) ?? [];
    this.#records.set(commit.room, records);
    for (const record of commit.records) {
      if (record.seq !== this.head(commit.room) + 1)
        this.breaches.push(`${record.seq} after ${this.head(commit.room)}`);
      this.heads.set(commit.room, record.seq);
      records.push(record);
    }
  }
}

function draft(room: string, data: string, id = '', sender = 's'): Draft {
  return { room, from: 'a', sender, id, data, json: true, bytes: Buffer.byteLength(data) };
}
