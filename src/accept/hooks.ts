import { ALLOWED, type Authorizer, type Decision } from '../client/authorizer.ts';
import type { Admission } from '../http/responses.ts';
import type { Subscriber } from '../hub/subscriber.ts';
import type { Scheduler } from '../hub/time.ts';
import { type Json, USER_BYTES } from '../protocol/v1.ts';
import type { HttpRequest } from '../transport/transport.ts';
import { isUser, type Publication } from '../wire/wire.ts';

/** What a hook answers: whether it may be, or in words why not. */
export type Allowed = boolean | string;

/** A handshake, as a hook sees it. */
export interface Handshake {
  readonly path: string;
  readonly query: URLSearchParams;
  /** By lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly remoteAddress: string;
}

/** Who asks: a session, and what others know it by. */
export interface Asker {
  readonly session: string;
  readonly user: string;
}

/**
 * What an embedding program decides. Each hook answers at once or with a promise; what the client does next waits for it. One that
 * throws, rejects or takes too long refuses, and the client is told to try again.
 */
export interface Hooks {
  /** Who may connect, and under which name, whatever name it asks for. */
  connect?(handshake: Handshake): Allowed | { readonly user: string } | Promise<Allowed | { readonly user: string }>;
  join?(who: Asker, room: string): Allowed | Promise<Allowed>;
  /** `data` is the message's, which is `{ text }` where a client sends plain text. */
  send?(who: Asker, room: string, data: Json): Allowed | Promise<Allowed>;
}

/** Asks hooks: catches what they throw, and does not wait for ever. */
export class HookRunner {
  readonly #hooks: Hooks;
  readonly #timeout: number;
  readonly #scheduler: Scheduler;
  readonly #onError: (hook: string, error: unknown) => void;

  /** @param timeout milliseconds that a hook may take. @param onError is told of each that did not answer. */
  constructor(hooks: Hooks, timeout: number, scheduler: Scheduler, onError: (hook: string, error: unknown) => void) {
    this.#hooks = hooks;
    this.#timeout = timeout;
    this.#scheduler = scheduler;
    this.#onError = onError;
  }

  /** What the read pumps ask; a hook that is not there costs nothing. */
  permit(): Authorizer {
    const { join, send } = this.#hooks;
    return {
      ...(join && { join: (client, room) => this.#ask('join', () => join(askerOf(client), room), verdictOf, FAILED) }),
      ...(send && {
        send: (client, said) =>
          this.#ask('send', () => send(askerOf(client), said.room, dataOf(said)), verdictOf, FAILED),
      }),
    };
  }

  /** Reads a handshake, or a post. @param remoteAddress where it comes from. @returns what asks the hook about it, now or later. */
  reads(request: HttpRequest, remoteAddress: string): () => Admission | Promise<Admission> {
    const { connect } = this.#hooks;
    if (!connect) return () => ({ user: undefined });
    const { path, headers } = request;
    const handshake = { path, query: new URLSearchParams(request.query), headers, remoteAddress };
    return () => this.#ask('connect', () => connect(handshake), entryOf, { status: 503, why: 'Try again later' });
  }

  #ask<A, R>(hook: string, ask: () => A | Promise<A>, read: (answer: A) => R, failed: R): R | Promise<R> {
    const fail = (error: unknown): R => {
      this.#onError(hook, error);
      return failed;
    };
    try {
      const answer = ask();
      return isPromise(answer) ? this.#inTime(Promise.resolve(answer)).then(read).catch(fail) : read(answer);
    } catch (error) {
      return fail(error);
    }
  }

  #inTime<A>(answer: Promise<A>): Promise<A> {
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`it did not answer within ${this.#timeout} ms`));
      const cancel = this.#scheduler.after(this.#timeout, late);
      answer.then(resolve, reject).finally(cancel);
    });
  }
}

const FAILED: Decision = {
  kind: 'denied',
  code: 'unavailable',
  message: 'it could not be found out whether this is allowed',
};

function verdictOf(allowed: Allowed): Decision {
  if (allowed === true) return ALLOWED;
  return { kind: 'denied', code: 'forbidden', ...(typeof allowed === 'string' && { message: allowed }) };
}

function entryOf(answer: Allowed | { readonly user: string }): Admission {
  if (answer === true) return { user: undefined };
  if (typeof answer !== 'object') return { status: 403, why: answer || 'Forbidden' };
  if (!isUser(answer.user)) throw new TypeError(`the hook named no user of 1 to ${USER_BYTES} bytes`);
  return { user: answer.user };
}

/** A library's own promises are promises too. */
function isPromise<A>(answer: A | Promise<A>): answer is Promise<A> {
  return typeof (answer as Partial<Promise<A>> | null | undefined)?.then === 'function';
}

function askerOf({ id, user }: Subscriber): Asker {
  return { session: id, user };
}

function dataOf({ data, json }: Publication): Json {
  return json ? (JSON.parse(data) as Json) : { text: data };
}
