import { type Logger, pino } from 'pino';
import type { Events, HubEvents } from '../hub/events.ts';
import { formatLine } from './terminal.ts';

export type { Logger } from 'pino';

/**
 * Creates a log on standard output: readable lines on a terminal, else one JSON object a line. Both
 * are written synchronously, so that an exit loses no line.
 */
export function createLog(level: string, terminal: boolean = process.stdout.isTTY): Logger {
  const output = pino.destination({ dest: 1, sync: true });
  if (!terminal) return pino({ level, base: null }, output);
  const colours = process.stdout.hasColors?.() === true;
  return pino({ level, base: null }, { write: (json) => output.write(formatLine(json, colours)) });
}

// A full mailbox may reject thousands of posts a second; one line a second suffices.
const OVERLOAD_EVERY_MS = 1_000;

/**
 * Logs the Hub's events, one line each. Full mailboxes are summarized.
 *
 * @param now returns milliseconds from any start.
 */
export function logEvents(events: Events, log: Logger, now: () => number = Date.now): void {
  events.on('connected', (event) => log.debug(event, 'connected'));
  events.on('registered', (event) => log.debug(event, 'registered'));
  events.on('unregistered', (event) => log.debug(event, 'unregistered'));
  events.on('lagging', (event) => log.debug(event, 'lagging'));
  events.on('drained', (event) => log.debug(event, 'drained'));
  events.on('evicted', (event) => log.warn(event, 'evicted'));
  events.on('failed', ({ event, error }) => log.error({ event, err: error }, 'event listener failed'));
  events.on('disconnected', ({ client, wire, remoteAddress, close, by }) => {
    log.info({ client, wire, remoteAddress, code: close.code, reason: close.reason, by }, 'closed');
  });
  if (log.isLevelEnabled('trace')) events.on('committed', (event) => log.trace(event, 'committed'));
  events.on('overloaded', overloadLogger(log, now));
}

/** Logs at most one line a second for each mailbox, with the posts rejected since the last one. */
function overloadLogger(log: Logger, now: () => number): (event: HubEvents['overloaded']) => void {
  const rejections = new Map<string, { count: number; loggedAt: number }>();
  return ({ mailbox, capacity }) => {
    const state = rejections.get(mailbox) ?? { count: 0, loggedAt: Number.NEGATIVE_INFINITY };
    rejections.set(mailbox, state);
    state.count++;
    if (now() - state.loggedAt < OVERLOAD_EVERY_MS) return;
    log.warn({ mailbox, capacity, refused: state.count }, 'mailbox full');
    state.count = 0;
    state.loggedAt = now();
  };
}
