import { advise } from './advice.ts';
import { type Check, type Finding, fail, type Outcome, skipped } from './check.ts';
import { address } from './checks/address.ts';
import { closeCodes } from './checks/close-codes.ts';
import { delivery, largeFrame } from './checks/delivery.ts';
import { dns, tcp } from './checks/dns.ts';
import { roomEvents, sessionEvents } from './checks/events.ts';
import { http, redirect } from './checks/http.ts';
import { idle } from './checks/idle.ts';
import { roundTrip } from './checks/round-trip.ts';
import { tls } from './checks/tls.ts';
import { foreignOrigin, origin, session, subprotocol, websocket } from './checks/websocket.ts';
import { errorText } from './exchange.ts';
import { LATE, Scope } from './scope.ts';
import { Walk, type WalkOptions } from './walk.ts';

/** In the order of the path. Each runs when the ones before it are done. */
const checks: readonly Check[] = [
  dns,
  tcp,
  tls,
  http,
  redirect,
  websocket,
  subprotocol,
  origin,
  foreignOrigin,
  session,
  address,
  delivery,
  largeFrame,
  roundTrip,
  closeCodes,
  sessionEvents,
  roomEvents,
];

// For a check to report which of its steps was late.
const GRACE_MS = 500;

export interface Diagnosis {
  readonly walk: Walk;
  readonly findings: readonly Finding[];
}

export interface Reporting {
  /** Receives each finding as soon as it is there. */
  readonly found?: (finding: Finding) => void;
  /** Receives the milliseconds that the idle check has to wait, once nothing else is left. */
  readonly waiting?: (ms: number) => void;
}

/**
 * Walks the path to a server as its clients do, and reports what is wrong with it. The idle
 * connection waits while the other checks run. Each check ends in its time.
 *
 * @param signal ends the walk: its promise rejects, and all connections close.
 */
export async function diagnose(
  options: WalkOptions,
  signal: AbortSignal,
  { found, waiting }: Reporting = {},
): Promise<Diagnosis> {
  const walk = new Walk(options);
  const findings: Finding[] = [];
  const report = (name: string, outcome: Outcome) => {
    const finding = { name, ...outcome };
    findings.push(finding);
    found?.(finding);
  };
  let idling: Promise<Outcome> | undefined;
  const idleEnd = () => performance.now() + options.idleMs;
  let ends = 0;
  for (const check of checks) {
    report(check.name, await perform(check, walk, findings, options.timeoutMs, signal));
    if (check !== session) continue;
    ends = idleEnd();
    idling = perform(idle, walk, findings, options.idleMs + options.timeoutMs, signal);
    // Its rejection is that of the signal, which the other checks report.
    idling.catch(() => {});
  }
  waiting?.(Math.max(0, ends - performance.now()));
  report(idle.name, (await idling) ?? skipped('needs session'));
  return { walk, findings };
}

/** Runs a check until its deadline, unless one that it needs has failed. */
async function perform(
  check: Check,
  walk: Walk,
  findings: readonly Finding[],
  ms: number,
  signal: AbortSignal,
): Promise<Outcome> {
  signal.throwIfAborted();
  const unmet = findings.find(
    ({ name, kind }) => check.needs.includes(name) && (kind === 'fail' || kind === 'skipped'),
  );
  if (unmet) return skipped(`needs ${unmet.name}`);
  const scope = new Scope(ms);
  const guard = new Scope(ms + GRACE_MS);
  const close = () => {
    scope.close();
    guard.close();
  };
  signal.addEventListener('abort', close, { once: true });
  try {
    const outcome = await guard.wait(check.run(walk, scope));
    signal.throwIfAborted();
    return outcome === LATE ? fail('not done in time', advise('Try again with a longer --timeout.')) : outcome;
  } catch (error) {
    signal.throwIfAborted();
    return fail(errorText(error), advise('This is unexpected: the log of the server may have the reason.'));
  } finally {
    signal.removeEventListener('abort', close);
    close();
  }
}
