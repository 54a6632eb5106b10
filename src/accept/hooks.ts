import { ALLOWED, type Authorizer, type Decision } from '../client/authorizer.ts';
import type { Admission } from '../http/publish.ts';
import type { Subscriber } from '../hub/subscriber.ts';
import type { Scheduler } from '../hub/time.ts';
import { andThen, type NowOrLater } from '../protocol/now-or-later.ts';
import { type ChangeOp, type Json, USER_BYTES } from '../protocol/v1.ts';
import type { HttpRequest } from '../transport/transport.ts';
import { isUser, type Publication } from '../wire/wire.ts';

/** The answer of a hook: true allows; false rejects; a string rejects with that reason. */
export type Allowed = boolean | string;

/** The request of a handshake or of a post. */
export interface Handshake {
  readonly path: string;
  readonly query: URLSearchParams;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly remoteAddress: string;
}

/** What a message is beside its data. */
export interface SendDetails {
  /** What a change does. @default it is a message */
  readonly op?: ChangeOp;
  /** The `seq` of the message to change. */
  readonly of?: number;
  /** The `seq` of the message that this one replies to. */
  readonly reply?: number;
}

/** The client that a hook decides about. */
export interface Asker {
  readonly session: string;
  /** Name by which others know it. */
  readonly user: string;
}

/**
 * The decisions of an embedding program. A hook may return a promise; the client's next commands
 * wait for it. A hook that throws, rejects or takes longer than `hookTimeout` rejects with a
 * retryable error.
 */
export interface Hooks {
  /** Decides whether a client may connect. `user` replaces the name that it asks for. */
  connect?(handshake: Handshake): Allowed | { readonly user: string } | Promise<Allowed | { readonly user: string }>;
  join?(asker: Asker, room: string): Allowed | Promise<Allowed>;
  /**
   * `data` is the message's: `{ text }` from clients that send plain text. `details` tell a change
   * of an earlier message, or a reply: the data of an edit is the new one, that of a reaction its
   * `{ text }`, and that of a delete has an empty one.
   */
  send?(asker: Asker, room: string, data: Json, details: SendDetails): Allowed | Promise<Allowed>;
}

/** Calls the hooks: it turns what they throw into rejections, and limits how long they take. */
export class HookRunner {
  readonly #hooks: Hooks;
  readonly #timeout: number;
  readonly #scheduler: Scheduler;
  readonly #onError: (hook: string, error: unknown) => void;

  /**
   * @param timeout in milliseconds.
   * @param onError is called for each hook that threw, rejected or timed out.
   */
  constructor(hooks: Hooks, timeout: number, scheduler: Scheduler, onError: (hook: string, error: unknown) => void) {
    this.#hooks = hooks;
    this.#timeout = timeout;
    this.#scheduler = scheduler;
    this.#onError = onError;
  }

  /** Returns an authorizer that calls the join and send hooks, or undefined if there are none. */
  authorizer(): Authorizer | undefined {
    const { join, send } = this.#hooks;
    if (join === undefined && send === undefined) return undefined;
    return {
      ...(join && {
        join: (client, room) => this.#call('join', () => join(askerOf(client), room), toDecision, UNDECIDED),
      }),
      ...(send && {
        send: (client, publication) => {
          const { room } = publication;
          const ask = () => send(askerOf(client), room, dataOf(publication), detailsOf(publication));
          return this.#call('send', ask, toDecision, UNDECIDED);
        },
      }),
    };
  }

  /**
   * Reads a handshake or a post, which is valid only during the call.
   *
   * @param remoteAddress the client's.
   * @returns a function that calls the connect hook.
   */
  prepareConnect(request: HttpRequest, remoteAddress: string): () => NowOrLater<Admission> {
    const { connect } = this.#hooks;
    if (!connect) return () => ({ kind: 'admitted' });
    const { path, headers } = request;
    const handshake = { path, query: new URLSearchParams(request.query), headers, remoteAddress };
    return () => this.#call('connect', () => connect(handshake), toAdmission, TRY_AGAIN);
  }

  /**
   * @param convert reads the hook's answer; it may throw.
   * @param failed is the result if the hook fails.
   */
  #call<A, R>(hook: string, call: () => A | Promise<A>, convert: (answer: A) => R, failed: R): NowOrLater<R> {
    const fail = (error: unknown): R => {
      this.#onError(hook, error);
      return failed;
    };
    try {
      const answer = call();
      const result = andThen(isThenable(answer) ? this.#inTime(Promise.resolve(answer)) : answer, convert);
      return result instanceof Promise ? result.catch(fail) : result;
    } catch (error) {
      return fail(error);
    }
  }

  #inTime<A>(answer: Promise<A>): Promise<A> {
    return new Promise((resolve, reject) => {
      const timeOut = () => reject(new Error(`no answer within ${this.#timeout} ms`));
      const cancel = this.#scheduler.after(this.#timeout, timeOut);
      answer.then(resolve, reject).finally(cancel);
    });
  }
}

const TRY_AGAIN: Admission = { kind: 'rejected', status: 503, reason: 'Try again later' };

const UNDECIDED: Decision = {
  kind: 'denied',
  code: 'unavailable',
  message: 'the permission could not be checked',
};

function toDecision(allowed: Allowed): Decision {
  if (allowed === true) return ALLOWED;
  return { kind: 'denied', code: 'forbidden', ...(typeof allowed === 'string' && { message: allowed }) };
}

/** @throws TypeError for an invalid user name. */
function toAdmission(answer: Allowed | { readonly user: string }): Admission {
  if (answer === true) return { kind: 'admitted' };
  if (typeof answer !== 'object') return { kind: 'rejected', status: 403, reason: answer || 'Forbidden' };
  if (!isUser(answer.user)) throw new TypeError(`the connect hook returned no user of 1 to ${USER_BYTES} bytes`);
  return { kind: 'admitted', user: answer.user };
}

/** Libraries and other realms have promises of their own. */
function isThenable<A>(answer: A | Promise<A>): answer is Promise<A> {
  return typeof (answer as Partial<Promise<A>> | null | undefined)?.then === 'function';
}

function askerOf({ id, user }: Subscriber): Asker {
  return { session: id, user };
}

const NO_DETAILS: SendDetails = {};

function detailsOf({ extra }: Publication): SendDetails {
  if (extra === undefined) return NO_DETAILS;
  return extra.kind === 'change' ? { op: extra.op, of: extra.of } : { reply: extra.reply };
}

function dataOf({ data, json }: Publication): Json {
  return json ? (JSON.parse(data) as Json) : { text: data };
}
