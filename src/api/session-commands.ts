import type { Principal } from '../auth/authenticator.ts';
import { allows } from '../auth/grants.ts';
import type { Session } from '../auth/sessions.ts';
import { ALLOWED, type Authorizer, type Decision } from '../client/authorizer.ts';
import type { Hub } from '../hub/hub.ts';
import type { Subscriber } from '../hub/subscriber.ts';
import { type ErrorCode, errors, type Json } from '../protocol/v1.ts';
import type { Command, Publication, Wire } from '../wire/wire.ts';
import { Caller } from './caller.ts';

/** The sender of commands over HTTP, which the request has proved. */
export interface Sender {
  readonly session: Pick<Session, 'id' | 'user'>;
  readonly grants: Principal['grants'];
  readonly address: string;
  /** Whether the session's user is authenticated. */
  readonly isVerified: boolean;
}

/** The rates of a session over HTTP. A method returns false when its rate is used up. */
export interface SessionRates {
  takeMessage(sender: Sender): boolean;
  takeRequest(sender: Sender): boolean;
}

export interface SessionCommandsOptions {
  readonly hub: Hub;
  /** The wire of the native protocol. */
  readonly wire: Pick<Wire, 'encodeNotice'>;
  readonly rates: SessionRates;
  /** Decides what clients may do. @default everything is allowed */
  readonly authorizer: Authorizer | undefined;
  /** Returns the connection of a session, if this thread has it. */
  readonly connectionOf: (session: string) => Subscriber | undefined;
  /**
   * Keeps a client's report. Returns false for a second one of a connection.
   *
   * @default the server takes no reports
   */
  readonly report?: ((session: Sender['session'], report: Report) => boolean) | undefined;
}

type Report = Extract<Command, { kind: 'report' }>['report'];

// Longer than an engine waits for its store.
const ANSWER_MS = 30_000;

type RoomCommand = Extract<Command, { kind: 'broadcast' | 'signal' | 'history' | 'ack' }>;

/**
 * SessionCommands runs the commands that a client sends over HTTP. The connection of its session
 * may be on another node or thread, with its memberships. A session without a membership here needs
 * the permission to join the room instead.
 */
export class SessionCommands {
  readonly #options: SessionCommandsOptions;

  constructor(options: SessionCommandsOptions) {
    this.#options = options;
  }

  /** Runs commands in order. @returns the answers, as lines of the native protocol. */
  async run(commands: readonly Command[], sender: Sender): Promise<readonly string[]> {
    const { encodeNotice } = this.#options.wire;
    const caller = new Caller(sender.session, encodeNotice);
    for (const command of commands) {
      const decision = this.#decide(command, sender, caller);
      // Without hooks, all commands are run in one turn.
      const { kind, ...denied } = decision instanceof Promise ? await decision : decision;
      if (kind === 'allowed') this.#execute(command as RoomCommand, sender, caller);
      else if (kind === 'denied') refuse(caller, command, denied as Rejection);
    }
    let timer: NodeJS.Timeout | undefined;
    const expired = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ANSWER_MS);
    });
    return caller.finish(expired).finally(() => clearTimeout(timer));
  }

  /** Decides on a command of a room, and answers all others. */
  #decide(command: Command, sender: Sender, caller: Caller): Verdict | Promise<Verdict> {
    const { rates } = this.#options;
    switch (command.kind) {
      case 'ping':
        if (!rates.takeRequest(sender)) return RATE_LIMITED;
        caller.reply({ t: 'pong' });
        return DONE;
      case 'broadcast':
        return rates.takeMessage(sender) ? this.#permit(command, sender, caller) : RATE_LIMITED;
      case 'signal':
        if (!rates.takeRequest(sender) || !rates.takeMessage(sender)) return RATE_LIMITED;
        return this.#permit(command, sender, caller);
      case 'history':
      case 'ack':
        return rates.takeRequest(sender) ? this.#permit(command, sender, caller) : RATE_LIMITED;
      case 'report': {
        const { report } = this.#options;
        if (report === undefined) return NOT_OVER_HTTP;
        if (!rates.takeRequest(sender)) return RATE_LIMITED;
        return report(sender.session, command.report) ? DONE : FORBIDDEN;
      }
      case 'refusal': {
        const { kind: _, ...rejection } = command;
        return { kind: 'denied', ...rejection };
      }
      default:
        return NOT_OVER_HTTP;
    }
  }

  #permit(command: RoomCommand, { session, grants }: Sender, caller: Caller): Verdict | Promise<Verdict> {
    const { room } = command;
    const sends = command.kind === 'broadcast' || command.kind === 'signal';
    const isMember = this.#isMember(session.id, room);
    if (grants !== undefined && !(isMember || allows(grants, 'join', room))) return FORBIDDEN;
    if (grants !== undefined && sends && !allows(grants, 'send', room)) return FORBIDDEN;
    const { authorizer } = this.#options;
    const mayJoin = isMember ? ALLOWED : (authorizer?.join?.(caller, room) ?? ALLOWED);
    if (!(mayJoin instanceof Promise) && (mayJoin.kind === 'denied' || !sends)) return mayJoin;
    const maySend = (): Decision | Promise<Decision> => {
      if (command.kind === 'signal') return authorizer?.signal?.(caller, room) ?? ALLOWED;
      return authorizer?.send?.(caller, command as Publication) ?? ALLOWED;
    };
    if (!(mayJoin instanceof Promise)) return maySend();
    return mayJoin.then((decision) => (decision.kind === 'denied' || !sends ? decision : maySend()));
  }

  #isMember(session: string, room: string): boolean {
    const connection = this.#options.connectionOf(session);
    return (
      connection !== undefined && this.#options.hub.memberships(connection).some((each) => each.room.name === room)
    );
  }

  #execute(command: RoomCommand, origin: Sender, caller: Caller): void {
    const { session, isVerified } = origin;
    const { hub } = this.#options;
    const { id: sender, user: from } = session;
    const { room } = command;
    let posted = true;
    if (command.kind === 'broadcast') {
      const { id, data, json, bytes, extra } = command;
      const draft = { room, from, sender, id, data, json, bytes, by: caller };
      const draftExtra = extra?.kind === 'change' ? { ...extra, byUser: isVerified } : extra;
      posted = hub.broadcast(draftExtra === undefined ? draft : { ...draft, extra: draftExtra });
      if (posted) caller.expect(command);
    } else if (command.kind === 'history') {
      const { id, before, after, limit, changes } = command;
      const options = { before, after, limit, ...(changes !== undefined && { changes }) };
      posted = hub.history({ subscriber: caller, room, id, ...options });
      if (posted) caller.expect(command);
    } else if (command.kind === 'signal') {
      posted = this.#signal(room, command.data, session, caller);
    } else posted = this.#acknowledge(room, command.seq, origin);
    if (!posted) refuse(caller, command, { code: 'busy' });
  }

  /** The sender's own connection, wherever it is, does not get the signal. */
  #signal(room: string, data: Json, { id, user: from }: Sender['session'], caller: Caller): boolean {
    const signal = { t: 'signal', room, from, data } as const;
    return this.#options.hub.signal({ room, from, signal, by: caller, session: id });
  }

  /** Only the node of the connection knows how much was sent to it: elsewhere any `seq` counts. */
  #acknowledge(room: string, seq: number, { session: { id, user }, isVerified }: Sender): boolean {
    const { hub, connectionOf } = this.#options;
    const connection = connectionOf(id);
    if (connection !== undefined) return hub.acknowledge(connection, room, seq);
    hub.events.emit('shown', { client: id, user, room, seq });
    return isVerified ? hub.read(user, room, seq) : true;
  }
}

/** A decision, or `done` for a command that has been answered. */
type Verdict = Decision | ({ readonly kind: 'denied' } & Rejection) | { readonly kind: 'done' };

interface Rejection {
  readonly code: ErrorCode;
  readonly message?: string;
  readonly field?: string;
}

const DONE: Verdict = { kind: 'done' };
const RATE_LIMITED: Verdict = { kind: 'denied', code: 'rate_limited' };
const FORBIDDEN: Verdict = { kind: 'denied', code: 'forbidden' };
const NOT_OVER_HTTP: Verdict = {
  kind: 'denied',
  code: 'unknown_type',
  message: 'this message opens the stream at /api/v1/session/events: it is not accepted here',
};

function refuse(caller: Caller, command: Command, { code, message, field }: Rejection): void {
  const { room, id } = command as { readonly room?: string; readonly id?: string };
  const subject = { ...(field !== undefined && { field }), ...(id && { id }), ...(room && { room }) };
  caller.reply({ t: 'error', code, ...errors[code], ...(message !== undefined && { message }), ...subject });
}
