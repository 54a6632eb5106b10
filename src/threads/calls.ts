import type { Port } from './port.ts';

/** The arguments of a function of the other thread. */
export type ArgumentsOf<Method> = Method extends (...args: infer Args) => unknown ? Args : never;

/** The result of a call of a function of the other thread. */
export type ResultOf<Method> = Method extends (...args: never[]) => infer Result ? Awaited<Result> : never;

type Served = (...args: unknown[]) => unknown;

interface WaitingCall {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

// The first item of each message: [CALL, n, method, args], [RESULT, n, value],
// [FAILURE, n, message, name], [TELL, method, args].
const CALL = 0;
const RESULT = 1;
const FAILURE = 2;
const TELL = 3;

const rethrow = (error: Error): never => {
  throw error;
};

/**
 * Calls between two threads, over a port. Arguments and results are cloned; a result may be a
 * promise. Calls and results share the port's order: a function that returns no promise is answered
 * before anything that its thread posts later.
 */
export class Calls<Remote extends object, Local extends object> {
  readonly #port: Port;
  readonly #onOther: ((message: unknown) => void) | undefined;
  readonly #onError: (error: Error) => void;
  readonly #methods = new Map<string, Served>();
  readonly #waiting = new Map<number, WaitingCall>();
  #lastCall = 0;
  #closed: Error | undefined;

  /**
   * Receives the port's messages from now on: call `serve` in the same turn.
   *
   * @param onOther receives messages of the port that are no calls, such as wakes (numbers).
   * @param onError receives what a function throws that the other side expects no result of.
   * @default throws it from the port's listener, or as an unhandled rejection
   */
  constructor(port: Port, onOther?: (message: unknown) => void, onError: (error: Error) => void = rethrow) {
    this.#port = port;
    this.#onOther = onOther;
    this.#onError = onError;
    port.receive(this.#received);
  }

  /**
   * Adds functions that the other side may call.
   *
   * @throws Error for a name that is served already.
   */
  serve(methods: Partial<Local>): void {
    for (const [name, method] of Object.entries(methods)) {
      if (this.#methods.has(name)) throw new Error(`the function ${name} is served already`);
      this.#methods.set(name, method as Served);
    }
  }

  /**
   * Calls a function of the other side. Rejects with the message and the name of its error, or when
   * the channel is closed.
   */
  call<M extends keyof Remote & string>(method: M, ...args: ArgumentsOf<Remote[M]>): Promise<ResultOf<Remote[M]>> {
    if (this.#closed) return Promise.reject(this.#closed);
    const call = ++this.#lastCall;
    return new Promise((resolve, reject) => {
      this.#port.post([CALL, call, method, args]);
      this.#waiting.set(call, { resolve: resolve as (value: unknown) => void, reject });
    });
  }

  /**
   * Calls a function of the other side and expects no result. What it throws is reported to
   * `onError` of that side. Does nothing when the channel is closed.
   */
  tell<M extends keyof Remote & string>(method: M, ...args: ArgumentsOf<Remote[M]>): void {
    if (!this.#closed) this.#port.post([TELL, method, args]);
  }

  /** Rejects waiting and later calls. Calls of the other side are still answered. */
  close(error: Error): void {
    this.#closed ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  readonly #received = (message: unknown): void => {
    if (!Array.isArray(message)) {
      if (!this.#onOther) throw malformed(message);
      this.#onOther(message);
      return;
    }
    const [kind, second, third, fourth] = message as readonly unknown[];
    if (kind === CALL) this.#answer(second, third, fourth);
    else if (kind === RESULT) this.#take(second)?.resolve(third);
    else if (kind === FAILURE) this.#take(second)?.reject(errorOf(third, fourth));
    else if (kind === TELL) this.#run(second, third);
    else throw malformed(message);
  };

  #answer(call: unknown, method: unknown, args: unknown): void {
    const served = this.#served(method, args);
    if (typeof call !== 'number') throw malformed([CALL, call, method, args]);
    let result: unknown;
    try {
      if (!served) throw unknownMethod(method);
      result = served(...(args as unknown[]));
    } catch (error) {
      this.#fail(call, error);
      return;
    }
    if (!(result instanceof Promise)) this.#succeed(call, result);
    else
      result.then(
        (value) => this.#succeed(call, value),
        (error: unknown) => this.#fail(call, error),
      );
  }

  #run(method: unknown, args: unknown): void {
    const served = this.#served(method, args);
    try {
      if (!served) throw unknownMethod(method);
      const result = served(...(args as unknown[]));
      if (result instanceof Promise) result.catch((error: unknown) => this.#onError(toError(error)));
    } catch (error) {
      this.#onError(toError(error));
    }
  }

  /** @returns undefined where no function has that name. */
  #served(method: unknown, args: unknown): Served | undefined {
    if (typeof method !== 'string' || !Array.isArray(args)) throw malformed([method, args]);
    return this.#methods.get(method);
  }

  #succeed(call: number, value: unknown): void {
    try {
      this.#port.post([RESULT, call, value]);
    } catch (error) {
      this.#fail(call, error); // the value cannot be cloned
    }
  }

  #fail(call: number, thrown: unknown): void {
    const { message, name } = toError(thrown);
    this.#port.post([FAILURE, call, message, name]);
  }

  /** @returns undefined when the calls were rejected by `close`. */
  #take(call: unknown): WaitingCall | undefined {
    const waiting = this.#waiting.get(call as number);
    if (waiting) this.#waiting.delete(call as number);
    else if (!this.#closed) throw new Error(`a result of the call ${String(call)}, which does not wait`);
    return waiting;
  }
}

function errorOf(message: unknown, name: unknown): Error {
  const error = new Error(String(message));
  if (name !== 'Error') error.name = String(name);
  return error;
}

function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

function unknownMethod(method: unknown): Error {
  return new Error(`no function ${JSON.stringify(method)} is served`);
}

function malformed(message: unknown): Error {
  return new Error(`a message between threads is malformed: ${JSON.stringify(message)?.slice(0, 200)}`);
}
