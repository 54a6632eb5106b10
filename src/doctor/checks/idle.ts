import { closes } from '../../protocol/close-codes.ts';
import { advise, idleAdvice } from '../advice.ts';
import { type Check, fail, type Outcome, pass, skipped, warn } from '../check.ts';
import { seconds } from '../exchange.ts';
import { LATE } from '../scope.ts';
import { openSession } from '../session.ts';
import { failedOpening } from './failed-opening.ts';

// A ping may be late by a tick of the server's timer, and by the network.
const LATE_PING = 1.2;

/** A connection without messages stays open. The server's pings are its only traffic. */
export const idle: Check = {
  name: 'idle',
  needs: ['session'],
  async run(walk, scope) {
    const { idleMs } = walk.options;
    if (idleMs === 0) return skipped('--idle 0');
    const opening = await openSession(walk, scope);
    if (opening.kind !== 'welcome') return failedOpening(opening);
    const { connection, welcome } = opening;
    const started = performance.now();
    const closed = await connection.until(() => connection.closed, idleMs);
    const pings = connection.pings.map((at) => Math.round(at - started));
    const measured = { ms: Math.round(performance.now() - started), pings };
    if (closed !== LATE) return cut(closed.code, closed.at - started, pings, measured);
    const from = connection.received.length;
    connection.send({ t: 'ping' });
    const alive = await connection.until(() => connection.find(({ t }) => t === 'pong', from));
    if (alive === LATE) return fail(`dead after ${seconds(idleMs)}, without a close`, idleAdvice, measured);
    if (pings.length === 0 && idleMs > welcome.heartbeat * 1000 * LATE_PING) {
      const text = 'Something in between answers ping frames itself: the server cannot see that a client is gone.';
      return warn(`open for ${seconds(idleMs)}, without a ping of the server`, advise(text), measured);
    }
    return pass(`open for ${seconds(idleMs)}, ${pingText(pings)}`, measured);
  },
};

function cut(code: number, ms: number, pings: readonly number[], measured: object): Outcome {
  const detail = `closed with ${code} after ${seconds(ms)}, ${pingText(pings)}`;
  const all = { ...measured, close: code };
  if (code === closes.goingAway.code || code === closes.reconnect.code) {
    return warn(detail, advise('The server closed its clients meanwhile, as for a restart: run this again.'), all);
  }
  if (code === closes.pongTimeout.code) {
    return fail(detail, advise('Pongs do not reach the server: let frames pass in both directions.'), all);
  }
  return fail(detail, idleAdvice, all);
}

function pingText(pings: readonly number[]): string {
  const [first, second] = pings;
  if (first === undefined) return 'before a ping of the server';
  if (second === undefined) return `1 ping of the server after ${seconds(first)}`;
  return `${pings.length} pings of the server, ${seconds(second - first)} apart`;
}
