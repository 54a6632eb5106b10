import { type Logger, pino } from 'pino';
import type { Events, HubEvents } from '../hub/events.ts';
import { lockOutput, type Output } from './shared-output.ts';
import { formatLine } from './terminal.ts';

export type { Logger } from 'pino';

/** Standard output, as the threads of a process write their logs to it. */
export interface LogOutput {
  /** Readable lines, else one JSON object a line. */
  readonly terminal: boolean;
  readonly colours: boolean;
  /** Set where several threads write. */
  readonly lock?: SharedArrayBuffer;
}

/** Returns how this process logs on its standard output. Call it in the main thread. */
export function standardOutput(terminal: boolean = process.stdout.isTTY): LogOutput {
  return { terminal, colours: terminal && process.stdout.hasColors?.() === true };
}

/**
 * Creates a log on standard output: readable lines on a terminal, else one JSON object a line. Both
 * are written synchronously, so that an exit loses no line.
 *
 * @param worker the number of the thread, which all of its lines have.
 */
export function createLog(level: string, output: LogOutput = standardOutput(), worker?: number): Logger {
  const { terminal, colours, lock } = output;
  const base = worker === undefined ? null : { worker };
  const destination = pino.destination({ dest: 1, sync: true });
  if (!terminal && !lock) return pino({ level, base }, destination);
  const locked: Output = lock ? lockOutput(destination, lock) : destination;
  if (!terminal) return pino({ level, base }, locked);
  return pino({ level, base }, { write: (json) => locked.write(formatLine(json, colours)) });
}

// Thousands of posts or handshakes a second may be refused; one line a second suffices.
const SUMMARY_EVERY_MS = 1_000;

/**
 * Logs the Hub's events, one line each. Full mailboxes and refused handshakes are summarized.
 *
 * @param now returns milliseconds from any start.
 */
export function logEvents(events: Events, log: Logger, now: () => number = Date.now): void {
  logEngine(events, log);
  logClients(events, log, now);
}

/** Logs the state of the engine, which the Hubs of several threads share. */
function logEngine(events: Events, log: Logger): void {
  events.on('engine', ({ state }) => {
    if (state === 'away') log.error({ state }, 'the engine cannot reach its store');
    else log.info({ state }, 'the engine reaches its store again');
  });
}

/** Logs all events but those of the engine. */
export function logClients(events: Events, log: Logger, now: () => number = Date.now): void {
  events.on('connected', (event) => log.debug(event, 'connected'));
  events.on('registered', (event) => log.debug(event, 'registered'));
  events.on('unregistered', (event) => log.debug(event, 'unregistered'));
  events.on('lagging', (event) => log.debug(event, 'lagging'));
  events.on('drained', (event) => log.debug(event, 'drained'));
  events.on('evicted', (event) => log.warn(event, 'evicted'));
  events.on('moved', moveLogger(log, now));
  events.on('failed', ({ event, error }) => log.error({ event, err: error }, 'event listener failed'));
  events.on('disconnected', ({ client, wire, remoteAddress, close, by }) => {
    log.info({ client, wire, remoteAddress, code: close.code, reason: close.reason, by }, 'closed');
  });
  if (log.isLevelEnabled('trace')) events.on('committed', (event) => log.trace(event, 'committed'));
  events.on('overloaded', overloadLogger(log, now));
  events.on('refused', refusalLogger(log, now));
  const summarize = summarizer(now);
  events.on('deprecated', ({ feature, instead, remoteAddress }) => {
    const suppressed = summarize(feature);
    if (suppressed === undefined) return;
    log.warn({ remoteAddress, suppressed }, `${feature} is deprecated: send ${instead}`);
  });
}

/** Logs at most one line a second for each mailbox, with the posts rejected since the last one. */
function overloadLogger(log: Logger, now: () => number): (event: HubEvents['overloaded']) => void {
  const summarize = summarizer(now);
  return ({ mailbox, capacity }) => {
    const suppressed = summarize(mailbox);
    if (suppressed !== undefined) log.warn({ mailbox, capacity, refused: suppressed + 1 }, 'mailbox full');
  };
}

/** Logs lost messages, at most one line a second: a failover moves all rooms at once. */
function moveLogger(log: Logger, now: () => number): (event: HubEvents['moved']) => void {
  const summarize = summarizer(now);
  return (event) => {
    if (event.lost === 0) log.debug(event, 'moved');
    else {
      const suppressed = summarize('lost');
      if (suppressed !== undefined) log.error({ ...event, suppressed }, 'messages were lost');
    }
  };
}

// Clients choose the header, so its length is bounded.
const MAX_ORIGIN_LENGTH = 200;

/** Logs at most one line a second for each reason, with the handshakes suppressed since. */
function refusalLogger(log: Logger, now: () => number): (event: HubEvents['refused']) => void {
  const summarize = summarizer(now);
  return ({ reason, message, wire, remoteAddress, origin }) => {
    const suppressed = summarize(reason);
    if (suppressed === undefined) return;
    const page = origin === '' ? {} : { origin: origin.slice(0, MAX_ORIGIN_LENGTH) };
    log.info({ reason, wire, remoteAddress, ...page, suppressed }, `handshake refused: ${message}`);
  };
}

/**
 * Returns a function that allows one line a second for each key.
 *
 * @returns the lines suppressed since the last one, or undefined to suppress this one.
 */
function summarizer(now: () => number): (key: string) => number | undefined {
  const states = new Map<string, { suppressed: number; loggedAt: number }>();
  return (key) => {
    const state = states.get(key);
    if (state !== undefined && now() - state.loggedAt < SUMMARY_EVERY_MS) {
      state.suppressed++;
      return undefined;
    }
    states.set(key, { suppressed: 0, loggedAt: now() });
    return state?.suppressed ?? 0;
  };
}
