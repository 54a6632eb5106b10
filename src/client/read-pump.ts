import type { Hub } from '../hub/hub.ts';
import type { Clock, Notice, Subscriber } from '../hub/ports.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import { type ErrorCode, errors } from '../protocol/v1.ts';
import type { Command, Said, Wire } from '../wire/wire.ts';
import { type Permit, Turnstile, type Verdict } from './permit.ts';
import { type Rate, TokenBucket } from './rate.ts';

/** What a read pump needs. */
export interface ReadPumpContext {
  readonly hub: Hub;
  readonly clock: Clock;
  /** Undefined: as much as it likes. */
  readonly publishRate: Rate | undefined;
  /** What all connections of one address or one user share of it, if they do. */
  readonly shares?: { take(client: Pick<Reader, 'user' | 'address'>): boolean };
  /** Absent: everyone may do everything. */
  readonly permit?: Permit;
}

/** Whose read pump it is. */
export interface Reader extends Subscriber {
  readonly address: string;
  /** Tells it something at once; a wire without notices says nothing. */
  notify(notice: Notice): void;
  end(close: Close): void;
  /** Shows a new token, and is told what comes of it. */
  refresh(token: string): void;
}

/** Rooms that one client may be in. */
export const MAX_ROOMS = 128;

// Joins and the like are no messages, but cost something too: so many for each message that is allowed.
const REQUESTS_A_MESSAGE = 5;

// Who is refused this often in a row does not listen.
const REFUSALS = 100;

/**
 * Takes what a client sends to the Hub: size, decoding, membership, rate, mailbox. It never throws, whatever the bytes. What
 * the Hub cannot have is answered with an error where the wire has one, and ends the client where not.
 */
export class ReadPump {
  readonly #client: Reader;
  readonly #wire: Wire;
  readonly #context: ReadPumpContext;
  readonly #messages: TokenBucket | undefined;
  readonly #requests: TokenBucket | undefined;
  /** The rooms that it asked to be in and did not leave; undefined where the wire decides on them. */
  readonly #rooms: Set<string> | undefined;
  /** The room that it is in, where the wire's clients are in one at a time. */
  #room = '';
  readonly #permit: Permit | undefined;
  /** Undefined where nobody is asked. */
  readonly #turnstile: Turnstile | undefined;
  #refusals = 0;

  /** @param permit is asked before it does something; absent: everyone may do everything. */
  constructor(client: Reader, wire: Wire, context: ReadPumpContext, permit = context.permit) {
    this.#client = client;
    this.#wire = wire;
    this.#context = context;
    this.#rooms = wire.tells.has('joined') ? new Set() : undefined;
    this.#permit = permit;
    this.#turnstile = permit && new Turnstile((command) => this.#take(command), client);
    const { publishRate: rate, clock } = context;
    if (!rate) return;
    this.#messages = new TokenBucket(rate, clock);
    if (!this.#rooms) return;
    const { perSecond, burst } = rate;
    this.#requests = new TokenBucket(
      { perSecond: perSecond * REQUESTS_A_MESSAGE, burst: burst * REQUESTS_A_MESSAGE },
      clock,
    );
  }

  /** Asks for the rooms that the client is in from the start. @returns why it must be closed, or undefined. */
  open(rooms: readonly string[]): Close | undefined {
    const permit = this.#permit;
    const answers = rooms.map((room) => permit?.join?.(this.#client, room) ?? true);
    const late = answers.some((answer) => answer instanceof Promise);
    return this.#ask(late ? Promise.all(answers) : (answers as Verdict[]), (verdicts) => {
      for (const [i, room] of rooms.entries()) {
        const close = this.#enter({ room, history: 0 }, verdicts[i] as Verdict);
        if (close) return close;
      }
      return undefined;
    });
  }

  /** @returns why the client must be closed, or undefined when it stays. The bytes live only during the call. */
  message(data: Uint8Array, binary: boolean): Close | undefined {
    if (data.byteLength > this.#wire.maxMessageSize) return closes.messageTooBig;
    for (const command of this.#wire.decode(data, binary)) {
      const close = this.#turnstile === undefined ? this.#take(command) : this.#pass(this.#turnstile, command);
      if (close) return close;
    }
    return undefined;
  }

  #pass(turnstile: Turnstile, command: Command): Close | undefined {
    return turnstile.full ? this.#refuse('busy', closes.busy, nameOf(command)) : turnstile.pass(command);
  }

  #ask<T>(answer: T | Promise<T>, goOn: (answer: T) => Close | undefined): Close | undefined {
    return this.#turnstile === undefined ? goOn(answer as T) : this.#turnstile.ask(answer, goOn);
  }

  #take(command: Command): Close | undefined {
    if (command.kind === 'broadcast') {
      return this.#broadcast(command.room === '' ? { ...command, room: this.#room } : command);
    }
    if (command.kind === 'change' || command.kind === 'nothing') {
      if (!this.#maySay()) return this.#refuse('rate_limited', closes.rateExceeded, nameOf(command));
      return command.kind === 'change' ? this.#change(command.room) : undefined;
    }
    if (command.kind === 'violation') return command.close;
    if (command.kind === 'refusal') return this.#refuse(command.code, closes.protocolError, command);
    if (this.#requests?.take() === false) return this.#refuse('rate_limited', closes.rateExceeded, nameOf(command));
    return this.#request(command);
  }

  #maySay(): boolean {
    if (this.#messages === undefined) return true;
    return this.#messages.take() && this.#context.shares?.take(this.#client) !== false;
  }

  #broadcast(said: Said): Close | undefined {
    const permit = this.#permit;
    if (this.#rooms?.has(said.room) === false) return this.#refuse('not_member', closes.protocolError, said);
    if (!this.#maySay()) return this.#refuse('rate_limited', closes.rateExceeded, said);
    return permit?.send
      ? this.#ask(permit.send(this.#client, said), (verdict) => this.#say(said, verdict))
      : this.#say(said, true);
  }

  #say(said: Said, verdict: Verdict): Close | undefined {
    const { room, id, data, json, bytes } = said;
    const { id: sender, user: from } = this.#client;
    if (verdict !== true) return this.#forbid(verdict, said);
    const taken = this.#context.hub.broadcast({ room, from, sender, id, data, json, bytes, by: this.#client });
    return this.#answered(taken, said);
  }

  #request(
    command: Exclude<Command, { kind: 'broadcast' | 'violation' | 'refusal' | 'change' | 'nothing' }>,
  ): Close | undefined {
    const { hub } = this.#context;
    const client = this.#client;
    if (command.kind === 'ping') {
      client.notify({ t: 'pong' });
      return this.#answered(true, {});
    }
    if (command.kind === 'auth') {
      client.refresh(command.token);
      return undefined;
    }
    const { room } = command;
    if (command.kind === 'join') return this.#join(room, command);
    if (this.#rooms?.has(room) === false) return this.#refuse('not_member', closes.protocolError, nameOf(command));
    switch (command.kind) {
      case 'leave': {
        const taken = hub.unregister(client, room);
        if (taken) this.#rooms?.delete(room);
        return this.#answered(taken, { room });
      }
      case 'signal': {
        if (!this.#maySay()) return this.#refuse('rate_limited', closes.rateExceeded, { room });
        const signal = { t: 'signal', room, from: client.user, data: command.data } as const;
        return this.#answered(hub.signal({ room, from: client.user, signal, by: client }), { room });
      }
      case 'history': {
        const { id, before, after, limit } = command;
        return this.#answered(hub.history({ subscriber: client, room, id, before, after, limit }), nameOf(command));
      }
      case 'ack':
        return this.#ack(room, command.seq);
    }
  }

  #join(room: string, command: Extract<Command, { kind: 'join' }>): Close | undefined {
    const permit = this.#permit;
    if (this.#rooms?.has(room) === false && this.#rooms.size >= MAX_ROOMS) {
      return this.#refuse('too_many_rooms', closes.protocolError, { room });
    }
    const answer = permit?.join?.(this.#client, room) ?? true;
    return this.#ask(answer, (verdict) => this.#enter(command, verdict));
  }

  #change(room: string): Close | undefined {
    if (room === this.#room) return undefined;
    const { hub } = this.#context;
    return this.#ask(this.#permit?.join?.(this.#client, room) ?? true, (verdict) => {
      if (verdict === true && !hub.unregister(this.#client, this.#room)) return this.#refuse('busy', closes.busy, {});
      return this.#enter({ room, history: 0 }, verdict);
    });
  }

  #enter(
    { room, since, history }: Omit<Extract<Command, { kind: 'join' }>, 'kind'>,
    verdict: Verdict,
  ): Close | undefined {
    if (verdict !== true) return this.#forbid(verdict, { room });
    const taken = this.#context.hub.register(this.#client, room, since, history);
    if (taken) this.#rooms?.add(room);
    this.#room = room;
    return this.#answered(taken, { room });
  }

  /** Of what it was not handed it cannot have shown anything. */
  #ack(room: string, seq: number): Close | undefined {
    const member = this.#client.memberships.find((one) => one.room.name === room);
    if (member && seq > member.cursor) return this.#refuse('bad_field', closes.protocolError, { room });
    if (member && seq > member.acked) {
      member.acked = seq;
      this.#context.hub.events.emit('shown', { client: this.#client.id, user: this.#client.user, room, seq });
    }
    return this.#answered(true, {});
  }

  #answered(taken: boolean, named: Named): Close | undefined {
    if (!taken) return this.#refuse('busy', closes.busy, named);
    this.#refusals = 0;
    return undefined;
  }

  #forbid({ code, message }: Exclude<Verdict, true>, named: Named): Close | undefined {
    return this.#refuse(code, code === 'forbidden' ? closes.forbidden : closes.busy, named, message);
  }

  /** @param close for a client whose wire knows no errors. @returns it, or what a client gets that does not listen. */
  #refuse(
    code: ErrorCode,
    close: Close,
    { id, room }: Named,
    message: string = errors[code].message,
  ): Close | undefined {
    if (!this.#wire.tells.has('error')) return close;
    if (++this.#refusals > REFUSALS) return code === 'rate_limited' ? closes.rateExceeded : closes.protocolError;
    this.#client.notify({ t: 'error', code, ...errors[code], message, ...(id && { id }), ...(room && { room }) });
    return undefined;
  }
}

/** What an error is about. */
interface Named {
  readonly id?: string;
  readonly room?: string;
}

function nameOf(command: Command): Named {
  const { room, id } = command as Named;
  return { ...(room !== undefined && { room }), ...(id !== undefined && { id }) };
}
