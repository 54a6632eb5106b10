import type { Close } from '../protocol/close-codes.ts';
import type { ErrorMessage, ServerMessage, Welcome } from '../protocol/v1.ts';
import { type Connection, connect, type Handshake, type Received } from './connection.ts';
import { LATE, type Scope } from './scope.ts';
import type { Walk } from './walk.ts';

/** How a handshake and what follows it end. */
export type Opening =
  | { readonly kind: 'welcome'; readonly connection: Connection; readonly welcome: Welcome; readonly ms: number }
  /** Closed without a `welcome`. */
  | {
      readonly kind: 'refused';
      readonly close: Close;
      readonly error: ErrorMessage | undefined;
      readonly ms: number;
    }
  /** Open, without a `welcome` in time. */
  | { readonly kind: 'silent'; readonly ms: number }
  | Exclude<Handshake, { readonly kind: 'open' }>;

/** Opens a session as a client does. */
export async function openSession(walk: Walk, scope: Scope, origin = ownOrigin(walk)): Promise<Opening> {
  const handshake = await connect(walk, scope, origin);
  if (handshake.kind !== 'open') return handshake;
  const { connection, ms } = handshake;
  // A server that requires a token refuses any other first message at once, instead of waiting.
  if (walk.options.token === undefined) connection.send({ t: 'ping' });
  const first = await connection.until(() => connection.find(isWelcome) ?? connection.closed);
  if (first === LATE) return { kind: 'silent', ms };
  if ('code' in first) {
    const error = connection.find(({ t }) => t === 'error')?.message as ErrorMessage | undefined;
    return { kind: 'refused', close: first, error, ms };
  }
  return { kind: 'welcome', connection, welcome: first.message as Welcome, ms };
}

/** Joins the room of the walk. @returns undefined once joined, else why not. */
export async function joinRoom({ options }: Walk, connection: Connection): Promise<string | undefined> {
  const { room } = options;
  const from = connection.received.length;
  connection.send({ t: 'join', room });
  const answer = await connection.until(() => connection.find(isAnswer, from) ?? connection.closed);
  if (answer === LATE) return 'the room is not joined in time';
  if ('code' in answer) return `closed with ${answer.code} instead of joining the room`;
  const { message } = answer as Received;
  if (message.t !== 'error') return undefined;
  return message.code === 'forbidden'
    ? `the room ${JSON.stringify(room)} is not allowed: --room NAME`
    : message.message;
}

function ownOrigin(walk: Walk): string | undefined {
  return walk.acceptsOrigin ? walk.origin : undefined;
}

function isWelcome({ t }: ServerMessage): boolean {
  return t === 'welcome';
}

function isAnswer({ t }: ServerMessage): boolean {
  return t === 'joined' || t === 'error';
}
