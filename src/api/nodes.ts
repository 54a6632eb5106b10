import * as v from 'valibot';
import type { Cluster } from '../hub/cluster.ts';
import type { Json } from '../protocol/v1.ts';
import type { LocalNode } from './local-node.ts';
import { type AnswerTo, answers, type Question } from './questions.ts';

/** The answers of all nodes and workers, this one first. */
export interface AllAnswers<Kind extends Question['kind']> {
  readonly answers: readonly AnswerTo<Kind>[];
  /** How many nodes and workers did not answer in time, or not as this version does. */
  readonly missing: number;
}

export interface NodesOptions {
  /** This node. @default it has no connections of its own */
  readonly local?: LocalNode;
  readonly cluster: Pick<Cluster, 'ask'>;
  /** Reports an answer that is malformed. */
  readonly failed: (error: unknown) => void;
}

/** All nodes and workers: what the API asks goes to each of them. */
export class Nodes {
  readonly #options: NodesOptions;

  constructor(options: NodesOptions) {
    this.#options = options;
  }

  /** Asks this node and all others. Never rejects. */
  async ask<Kind extends Question['kind']>(question: Extract<Question, { kind: Kind }>): Promise<AllAnswers<Kind>> {
    const { local, cluster } = this.#options;
    const others = cluster.ask(question as unknown as Json);
    const own = local === undefined ? [] : [local.answer(question) as AnswerTo<Kind>];
    const { answers: elsewhere, missing } = await others;
    const valid = elsewhere.flatMap((answer) => this.#parse(question.kind, answer));
    return { answers: [...own, ...valid], missing: missing + elsewhere.length - valid.length };
  }

  /** @returns an empty list for a malformed answer. */
  #parse<Kind extends Question['kind']>(kind: Kind, answer: Json): AnswerTo<Kind>[] {
    const parsed = v.safeParse(answers[kind] as v.GenericSchema<unknown, AnswerTo<Kind>>, answer);
    if (parsed.success) return [parsed.output];
    this.#options.failed(new Error(`the answer of another node to a question of the kind ${kind} is malformed`));
    return [];
  }
}

/** A page of names with a number each. */
export interface NamePage {
  readonly names: readonly (readonly [name: string, number: number])[];
  /** Whether names follow after the last one. */
  readonly more: boolean;
}

/**
 * Merges the first names of each node into the first ones of all nodes: a name of several nodes has
 * the sum of their numbers. A node that has more names than it gave has given all up to its last:
 * the first `limit` names of all nodes are complete.
 */
export function mergePages(pages: readonly NamePage[], limit: number): NamePage {
  const numbers = new Map<string, number>();
  for (const { names } of pages) {
    for (const [name, number] of names) numbers.set(name, (numbers.get(name) ?? 0) + number);
  }
  const all = [...numbers].sort(([a], [b]) => (a < b ? -1 : 1));
  return { names: all.slice(0, limit), more: all.length > limit || pages.some(({ more }) => more) };
}

/** Returns the sum of a number of each answer. */
export function sum<T>(all: readonly T[], number: (answer: T) => number): number {
  return all.reduce((total, answer) => total + number(answer), 0);
}
