import { ANSWER_MS, type Answers, WorkerAnswers } from '../../hub/cluster.ts';
import { type NowOrLater, orElse } from '../../protocol/now-or-later.ts';
import type { Json } from '../../protocol/v1.ts';
import { nodeChannel } from './claims.ts';
import type { Shard } from './shard.ts';

/** The node's side of questions. */
export interface QuestionOptions {
  /** Identifies this node. */
  readonly run: string;
  readonly shard: Shard;
  /** How long the other nodes count on this one after it was last heard from. */
  readonly leaseMs: number;
  /** Answers a question of another node. */
  readonly asked: (question: Json) => NowOrLater<Json | WorkerAnswers>;
  readonly failed: (error: Error) => void;
}

/** A question that waits for answers. */
interface Pending {
  /** The nodes that have not answered. */
  readonly nodes: Set<string>;
  readonly answers: Json[];
  missing: number;
  readonly end: () => void;
}

// First characters of the messages on a node's channel.
export const QUESTION = 'q';
export const ANSWER = 'r';

const NODES_KEY = 'ph:nodes';

// Questions that may wait for answers at once. Further ones get none.
const MAX_PENDING = 64;

// A longer answer is not sent: Redis ends a subscriber for which 32 MB wait.
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

// Renews this node's entry in the list of nodes. KEYS: the list. ARGV: this node, milliseconds.
// Returns the nodes whose leases last. The list expires with the last lease, and a margin.
const renewScript = `#!lua
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[2] + 60000))
return redis.call('ZRANGE', KEYS[1], 0, -1)
`;

/**
 * Questions to the other nodes, on the channel of each. The list of nodes tells how many answers to
 * expect: a node that stops without leaving is missed until its lease ends.
 */
export class Questions {
  readonly #options: QuestionOptions;
  readonly #pending = new Map<number, Pending>();
  #lastQuestion = 0;
  /** The other nodes, by the last renewal. */
  #others: readonly string[] = [];
  /** Nodes from before a reconnection: Redis may have lost them, and they may not be back yet. */
  #before: readonly string[] = [];
  #beforeUntil = 0;

  constructor(options: QuestionOptions) {
    this.#options = options;
  }

  /** Renews this node's entry in the list of nodes. Rejects when Redis cannot be reached. */
  async renew(): Promise<void> {
    const { run, shard, leaseMs } = this.#options;
    const nodes = (await shard.command(['EVAL', renewScript, '1', NODES_KEY, run, String(leaseMs)])) as unknown[];
    this.#others = nodes.map(String).filter((node) => node !== run);
  }

  /** The link to Redis is another one. Call it before the first renewal. */
  reconnected(): void {
    this.#before = this.#others;
    this.#beforeUntil = performance.now() + this.#options.leaseMs;
  }

  /** Asks every other node. Never rejects. */
  async ask(question: Json): Promise<Answers> {
    try {
      await this.renew();
    } catch {
      return { answers: [], missing: Math.max(1, this.#others.length) }; // there may be others
    }
    const nodes = this.#expected();
    if (nodes.size === 0 || this.#pending.size >= MAX_PENDING) return { answers: [], missing: nodes.size };
    const number = ++this.#lastQuestion;
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#pending.delete(number);
        resolve({ answers: pending.answers, missing: pending.missing + pending.nodes.size });
      };
      const timer = setTimeout(end, ANSWER_MS);
      const pending: Pending = { nodes, answers: [], missing: 0, end };
      this.#pending.set(number, pending);
      for (const node of nodes) this.#send(node, number, question);
    });
  }

  /** A question of another node: `NODE NUMBER JSON`. */
  async asked(message: string): Promise<void> {
    const [, node, number, json] = /^(\w+) (\d+) (.*)$/s.exec(message) ?? [];
    const question = json === undefined ? undefined : parseJson(json);
    if (question === undefined) throw new Error('a question of another node is malformed');
    const { run, shard, asked } = this.#options;
    let text: string;
    try {
      const answer = await asked(question);
      text = JSON.stringify(answer instanceof WorkerAnswers ? answer : { answers: [answer], missing: 0 });
      if (Buffer.byteLength(text) > MAX_ANSWER_BYTES) throw new Error(`it has more than ${MAX_ANSWER_BYTES} bytes`);
    } catch (cause) {
      this.#options.failed(new Error('a question of another node could not be answered', { cause }));
      text = JSON.stringify({ answers: [], missing: 1 });
    }
    // On the connection of long replies, so that it delays no message. A lost answer is missed.
    await orElse(shard.query(['PUBLISH', nodeChannel(node as string), `${ANSWER}${run} ${number} ${text}`]), () => {});
  }

  /** An answer of another node: `NODE NUMBER JSON`. */
  answered(message: string): void {
    const [, node = '', number, json = ''] = /^(\w+) (\d+) (.*)$/s.exec(message) ?? [];
    const answers = parseAnswers(parseJson(json));
    const pending = this.#pending.get(Number(number));
    if (answers === undefined) this.#options.failed(new Error('an answer of another node is malformed'));
    // A late answer, or one that is malformed, is missed.
    else if (pending?.nodes.delete(node)) {
      pending.answers.push(...answers.answers);
      pending.missing += answers.missing;
      if (pending.nodes.size === 0) pending.end();
    }
  }

  /** This node leaves: it answers and awaits nothing more. */
  async close(): Promise<void> {
    for (const { end } of [...this.#pending.values()]) end();
    const { run, shard } = this.#options;
    await shard.command(['ZREM', NODES_KEY, run]).catch(() => {}); // the lease ends by itself
  }

  #expected(): Set<string> {
    return new Set(performance.now() < this.#beforeUntil ? [...this.#before, ...this.#others] : this.#others);
  }

  #send(node: string, number: number, question: Json): void {
    const { run, shard } = this.#options;
    const text = `${QUESTION}${run} ${number} ${JSON.stringify(question)}`;
    const miss = () => {
      const pending = this.#pending.get(number);
      if (!pending?.nodes.delete(node)) return;
      pending.missing++;
      if (pending.nodes.size === 0) pending.end();
    };
    // A node that is not connected is missed at once.
    shard.command(['PUBLISH', nodeChannel(node), text]).then((heard) => Number(heard) === 0 && miss(), miss);
  }
}

function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

function parseAnswers(value: Json | undefined): Answers | undefined {
  const { answers, missing } = (value ?? {}) as Partial<Answers>;
  return Array.isArray(answers) && Number.isSafeInteger(missing) ? (value as unknown as Answers) : undefined;
}
