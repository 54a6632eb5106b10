import { advise } from '../advice.ts';
import { type Check, fail, pass, warn } from '../check.ts';
import type { Connection } from '../connection.ts';
import { millis } from '../exchange.ts';
import { LATE, type Scope } from '../scope.ts';
import { openSession } from '../session.ts';
import { failedOpening } from './failed-opening.ts';

const ROUNDS = 10;
const SLOW_MS = 300;

interface Times {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** How long pings take, as frames of the protocol and as messages. */
export const roundTrip: Check = {
  name: 'round-trip',
  needs: ['session'],
  async run(walk, scope) {
    const opening = await openSession(walk, scope);
    if (opening.kind !== 'welcome') return failedOpening(opening);
    const { connection } = opening;
    const [frames, messages] = await Promise.all([pingFrames(connection, scope), pingMessages(connection, scope)]);
    if (messages === undefined) return fail('a message ping has no pong', advise('The path loses messages.'));
    const measured = { messages, ...(frames && { frames }) };
    if (frames === undefined) {
      const text = 'Ping frames are lost: the server closes such clients with 4002 after 35 seconds. Let frames pass.';
      return fail(`a ping frame has no pong, a message takes ${millis(messages.median)}`, advise(text), measured);
    }
    const detail = `ping frames ${text(frames)}, messages ${text(messages)}`;
    if (Math.max(frames.median, messages.median) <= SLOW_MS) return pass(detail, measured);
    const slow = 'The way is slow: serve from a place that is nearer to the clients, or look for a busy proxy.';
    return warn(detail, advise(slow), measured);
  },
};

function text({ min, median, max }: Times): string {
  return `${millis(median)} (${millis(min)} to ${millis(max)})`;
}

function pingFrames(connection: Connection, scope: Scope): Promise<Times | undefined> {
  return measure(connection, scope, () => {
    const before = connection.pongs.length;
    connection.ping();
    return () => connection.pongs[before];
  });
}

function pingMessages(connection: Connection, scope: Scope): Promise<Times | undefined> {
  return measure(connection, scope, () => {
    const from = connection.received.length;
    connection.send({ t: 'ping' });
    // A server with a low rate limit answers some pings with an error.
    return () => connection.find(({ t }) => t === 'pong' || t === 'error', from)?.at;
  });
}

/**
 * Measures round trips one after another, fewer where they would take too long.
 *
 * @param ping sends one. @returns a function that returns when its answer arrived.
 * @returns undefined without an answer.
 */
async function measure(
  connection: Connection,
  scope: Scope,
  ping: () => () => number | undefined,
): Promise<Times | undefined> {
  const times: number[] = [];
  const reserve = scope.remaining / 3;
  while (times.length < ROUNDS && (times.length === 0 || scope.remaining > reserve)) {
    const started = performance.now();
    const answeredAt = ping();
    const answered = await connection.until(() => answeredAt() ?? (connection.closed ? 'closed' : undefined));
    if (answered === LATE || answered === 'closed') return undefined;
    times.push(answered - started);
  }
  times.sort((a, b) => a - b);
  const at = (index: number) => times[index] as number;
  return { min: at(0), median: at(Math.floor(times.length / 2)), max: at(times.length - 1) };
}
