import { closes } from '../../protocol/close-codes.ts';
import { SUBPROTOCOL } from '../../protocol/v1.ts';
import { advise, foreignOriginAdvice, hostAdvice, originAdvice, subprotocolAdvice, upstreamAdvice } from '../advice.ts';
import { type Check, fail, type Outcome, pass, warn } from '../check.ts';
import { millis } from '../exchange.ts';
import { type Opening, openSession } from '../session.ts';
import type { Walk } from '../walk.ts';
import { explainHandshake } from './http.ts';

const FOREIGN = 'https://doctor.invalid';

/** The opening of the walk's first session, which the checks below read. */
const openings = new WeakMap<Walk, Opening>();

/** Opens a WebSocket as a page of the own origin does. */
export const websocket: Check = {
  name: 'websocket',
  needs: ['tls'],
  async run(walk, scope) {
    const opening = await openSession(walk, scope);
    openings.set(walk, opening);
    if (opening.kind === 'failed') return fail(opening.detail, upstreamAdvice);
    if (opening.kind === 'rejected') {
      const { detail, advice } = explainHandshake(opening, walk);
      return fail(detail, advice, { status: opening.status });
    }
    // A missing subprotocol is the next check's; other headers are the handshake's own.
    if (opening.kind === 'invalid') {
      if (!/subprotocol/i.test(opening.detail))
        return fail(`101, but: ${opening.detail}`, upgradeOnly, { status: 101 });
      return pass('101', { status: 101 });
    }
    return pass(`101 in ${millis(opening.ms)}`, { status: 101, ms: opening.ms });
  },
};

const upgradeOnly = advise('Something in between answers the handshake itself, or changes its headers.');

/** The server selects `pumphouse.v1`. */
export const subprotocol: Check = {
  name: 'subprotocol',
  needs: ['websocket'],
  async run(walk) {
    const opening = openings.get(walk);
    if (opening?.kind === 'invalid') {
      const selected = opening.subprotocol === undefined ? 'none is selected' : `${opening.subprotocol} is selected`;
      return fail(`${selected} instead of ${SUBPROTOCOL}`, subprotocolAdvice);
    }
    return pass(`${SUBPROTOCOL} is selected`);
  },
};

/** Pages of the own origin are accepted. */
export const origin: Check = {
  name: 'origin',
  needs: ['subprotocol'],
  async run(walk) {
    const opening = openings.get(walk);
    if (opening?.kind !== 'refused') return pass(`${walk.origin} is accepted`, { origin: walk.origin });
    const { code } = opening.close;
    const measured = { origin: walk.origin, close: code };
    if (code === closes.originRefused.code) {
      walk.acceptsOrigin = false;
      const advice = walk.origin === walk.target.origin ? hostAdvice : originAdvice(walk.origin);
      return fail(`closed with ${code}: ${walk.origin} is not allowed`, advice, measured);
    }
    // Something in between may drop the close frame, and so the reason.
    if (!isBare(code) || opening.error !== undefined) return pass(`${walk.origin} is not refused`, measured);
    walk.acceptsOrigin = false;
    return fail(`closed with ${code} before the welcome`, hostAdvice, measured);
  },
};

/** Reports whether a code is what remains of a close frame that does not pass. */
function isBare(code: number): boolean {
  return code === closes.normal.code || code === closes.empty.code || code === closes.abnormal.code;
}

/** Pages of other origins are refused. */
export const foreignOrigin: Check = {
  name: 'foreign-origin',
  needs: ['subprotocol'],
  async run(walk, scope) {
    const opening = await openSession(walk, scope, FOREIGN);
    if (opening.kind === 'refused') return refusedForeign(opening.close.code, opening.error !== undefined);
    if (opening.kind === 'rejected') return pass(`refused with HTTP ${opening.status}`, { status: opening.status });
    if (opening.kind === 'welcome') return fail(`a page of ${FOREIGN} is accepted`, foreignOriginAdvice);
    const detail = opening.kind === 'silent' ? 'neither accepted nor refused in time' : opening.detail;
    return warn(detail, foreignOriginAdvice);
  },
};

function refusedForeign(code: number, hasError: boolean): Outcome {
  const measured = { close: code };
  // Such a connection was about to authenticate.
  if (code === closes.unauthenticated.code && hasError) {
    return fail(`a page of ${FOREIGN} may sign in`, foreignOriginAdvice, measured);
  }
  return pass(`refused with ${code}`, measured);
}

/** The server welcomes a client. */
export const session: Check = {
  name: 'session',
  needs: ['subprotocol'],
  async run(walk, scope) {
    const first = openings.get(walk);
    const opening = walk.acceptsOrigin && first?.kind === 'welcome' ? first : await openSession(walk, scope);
    if (opening.kind === 'welcome') {
      const { welcome } = opening;
      const detail = `welcomed as ${JSON.stringify(welcome.user)}, heartbeat ${welcome.heartbeat} s`;
      return pass(detail, { user: welcome.user, heartbeat: welcome.heartbeat });
    }
    if (opening.kind === 'refused') return refusedSession(opening, walk.options.token !== undefined);
    const detail = opening.kind === 'rejected' ? `HTTP ${opening.status}` : 'no welcome in time';
    return fail(detail, advise('The connection opens, and no message of the server arrives.'));
  },
};

function refusedSession({ close: { code, reason }, error }: Opening & { kind: 'refused' }, hasToken: boolean): Outcome {
  const lacksToken = code === closes.unauthenticated.code || error?.code === 'unauthenticated';
  if (lacksToken && !hasToken) {
    return { kind: 'skipped', detail: 'the server requires a token or a login: --token TOKEN' };
  }
  const detail = `closed with ${code}${reason && ` (${reason})`}${error ? `: ${error.message}` : ''}`;
  const text = lacksToken
    ? 'The token is not valid: compare its secret, its time and its issuer with the settings of the server.'
    : 'The server refuses the connection: its log has the reason.';
  return fail(detail, advise(text), { close: code });
}
