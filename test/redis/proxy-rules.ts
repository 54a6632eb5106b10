import { commandName, decode, type Reply } from './resp.ts';

/** From the node to Redis, or back. Pushes travel with the replies. */
export type Direction = 'requests' | 'replies';

/** A command's name, in any case, or a predicate over its words, the name first. */
export type CommandMatch = string | ((words: readonly string[]) => boolean);

/** A predicate over a push, such as `['message', channel, payload]`. */
export type PushMatch = (push: readonly Reply[]) => boolean;

/** A command that a proxy has kept from Redis. */
export interface StalledRequest {
  /**
   * Has Redis execute the old bytes on their own connection, then closes it.
   *
   * @returns the replies, one for each command that was kept.
   */
  deliver(): Promise<Reply[]>;
  /** Closes the connection without executing them. */
  drop(): void;
}

export type Fault =
  | { readonly kind: 'loseReply'; readonly match: CommandMatch; readonly pushes: boolean }
  | { readonly kind: 'loseRequest' | 'holdReply' | 'stall'; readonly match: CommandMatch }
  | { readonly kind: 'losePush'; readonly match: PushMatch };

/** A fault that waits for its command or push. It happens once. */
export interface Rule {
  readonly fault: Fault;
  happened(stalled?: StalledRequest): void;
}

/** The faults that wait for their command or push, oldest first. */
export class Rules {
  readonly #rules: Rule[] = [];

  /** @returns a promise that resolves when the fault has happened. */
  add(fault: Exclude<Fault, { kind: 'stall' }>): Promise<void> {
    return new Promise((resolve) => this.#rules.push({ fault, happened: () => resolve() }));
  }

  stall(match: CommandMatch): Promise<StalledRequest> {
    return new Promise((resolve) => {
      const happened = (stalled?: StalledRequest) => stalled && resolve(stalled);
      this.#rules.push({ fault: { kind: 'stall', match }, happened });
    });
  }

  /** Takes the oldest fault that matches a command. */
  forCommand(command: Buffer): Rule | undefined {
    if (this.#rules.length === 0) return undefined;
    return this.#take(({ fault }) => fault.kind !== 'losePush' && matches(fault.match, command));
  }

  /** Takes the oldest fault that matches a push. */
  forPush(push: Buffer): Rule | undefined {
    if (this.#rules.length === 0) return undefined;
    return this.#take(({ fault }) => fault.kind === 'losePush' && fault.match(decode(push) as Reply[]));
  }

  clear(): void {
    this.#rules.length = 0;
  }

  #take(isMatch: (rule: Rule) => boolean): Rule | undefined {
    const at = this.#rules.findIndex(isMatch);
    return at < 0 ? undefined : this.#rules.splice(at, 1)[0];
  }
}

function matches(match: CommandMatch, command: Buffer): boolean {
  if (typeof match === 'string') return match.toUpperCase() === commandName(command);
  return match((decode(command) as Reply[]).map(String));
}
