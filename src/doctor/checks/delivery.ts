import { randomUUID } from 'node:crypto';
import type { ErrorMessage, ServerMessage } from '../../protocol/v1.ts';
import { advise, bufferingAdvice } from '../advice.ts';
import { type Check, fail, type Outcome, pass, skipped } from '../check.ts';
import type { Connection } from '../connection.ts';
import { errorText, millis } from '../exchange.ts';
import { LATE, type Scope } from '../scope.ts';
import { joinRoom, openSession } from '../session.ts';
import type { Walk } from '../walk.ts';
import { failedOpening } from './failed-opening.ts';

const MESSAGES = 10;
const INTERVAL_MS = 50;

// Messages that arrive within this time of each other are one lump, unless they were sent so.
const LUMP_MS = INTERVAL_MS / 5;

// A delay that people notice, and that a busy machine does not cause by itself.
const HELD_MS = 250;

/** Messages arrive one by one, as they were sent. */
export const delivery: Check = {
  name: 'delivery',
  needs: ['session'],
  async run(walk, scope) {
    const opening = await openSession(walk, scope);
    if (opening.kind !== 'welcome') return failedOpening(opening);
    const { connection } = opening;
    const refused = await joinRoom(walk, connection);
    if (refused !== undefined) return skipped(refused);
    const first = await sendSpaced(walk, scope, connection);
    // A machine that is busy for a moment makes a lump, too, but hardly twice.
    const spaced = !('kind' in first) && isHeld(first) ? await sendSpaced(walk, scope, connection) : first;
    if ('kind' in spaced) return spaced;
    const { delays, lumped } = spaced;
    const detail = `${MESSAGES} messages, each within ${millis(Math.min(...delays))} to ${millis(Math.max(...delays))}`;
    const measured = { delays, lumped };
    if (isHeld(spaced)) return fail(`${detail}, ${lumped} of them in lumps`, bufferingAdvice, measured);
    return pass(detail, measured);
  },
};

interface Delays {
  /** Milliseconds from each `send` to its `message`. */
  readonly delays: readonly number[];
  /** How many arrived together with the one before. */
  readonly lumped: number;
}

function isHeld({ delays, lumped }: Delays): boolean {
  return Math.max(...delays) - Math.min(...delays) > HELD_MS && lumped >= MESSAGES / 2;
}

/** Sends messages at equal distances. @returns the outcome if not all arrive. */
async function sendSpaced(
  { options: { room } }: Walk,
  scope: Scope,
  connection: Connection,
): Promise<Delays | Outcome> {
  const sent: number[] = [];
  const from = connection.received.length;
  const prefix = `doctor-${randomUUID()}-`;
  for (let i = 0; i < MESSAGES; i++) {
    sent.push(performance.now());
    connection.send({ t: 'send', room, id: `${prefix}${i}`, data: { text: 'pumphouse doctor' } });
    await scope.sleep(INTERVAL_MS);
  }
  const arrival = (i: number) =>
    connection.find(
      (message) => message.t === 'message' && message.room === room && message.id === `${prefix}${i}`,
      from,
    );
  const arrivals = () => sent.map((_, i) => arrival(i)).filter((each) => each !== undefined);
  const isRejected = () => connection.find(({ t }) => t === 'error', from) !== undefined;
  const all = await connection.until(() => {
    const arrived = arrivals();
    return arrived.length === MESSAGES || connection.closed || isRejected() ? arrived : undefined;
  });
  const arrived = all === LATE ? arrivals() : all;
  if (arrived.length < MESSAGES) {
    const error = connection.find(({ t }) => t === 'error', from)?.message as ErrorMessage | undefined;
    if (error !== undefined) return skipped(`the server stores no more messages now: ${error.message}`);
    return fail(`${arrived.length} of ${MESSAGES} messages arrived in time`, bufferingAdvice);
  }
  const at = arrived.map((each) => each.at);
  const lumped = at.filter((time, i) => i > 0 && time - (at[i - 1] as number) < LUMP_MS).length;
  return { delays: at.map((time, i) => time - (sent[i] as number)), lumped };
}

/** The longest frame passes, in both directions. */
export const largeFrame: Check = {
  name: 'large-frame',
  needs: ['session'],
  async run(walk, scope) {
    const opening = await openSession(walk, scope);
    if (opening.kind !== 'welcome') return failedOpening(opening);
    const { connection, welcome } = opening;
    const refused = await joinRoom(walk, connection);
    if (refused !== undefined) return skipped(refused);
    const bytes = welcome.limits.message;
    const started = performance.now();
    const id = `doctor-${randomUUID()}`;
    connection.send(frameOf(walk.options.room, id, bytes));
    const answer = (t: ServerMessage['t']) =>
      connection.find((message) => message.t === t && 'id' in message && message.id === id);
    const result = await connection.until(() =>
      answer('sent') && answer('message') ? true : (answer('error') ?? connection.closed),
    );
    return largeOutcome(result, bytes, started);
  },
};

/** A `send` of that many bytes. */
function frameOf(room: string, id: string, bytes: number): string {
  const frame = (text: string) => JSON.stringify({ t: 'send', room, id, data: { text } });
  return frame('x'.repeat(bytes - Buffer.byteLength(frame(''))));
}

function largeOutcome(
  result: true | typeof LATE | { readonly code: number } | { readonly message: ServerMessage },
  bytes: number,
  started: number,
): Outcome {
  const ms = performance.now() - started;
  const measured = { bytes, ms };
  if (result === true) return pass(`${bytes} bytes there and back in ${millis(ms)}`, measured);
  const advice = advise(
    'Something in between limits the size of frames: raise it to 16 KiB for clients, 256 KiB for the server.',
  );
  if (result === LATE) return fail(`a frame of ${bytes} bytes does not arrive`, advice, { bytes });
  if ('code' in result) return fail(`closed with ${result.code} by a frame of ${bytes} bytes`, advice, { bytes });
  return skipped(errorText(result.message));
}
