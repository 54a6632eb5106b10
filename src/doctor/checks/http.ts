import {
  type Advice,
  advise,
  http10Advice,
  redirectAdvice,
  routeAdvice,
  upgradeAdvice,
  upstreamAdvice,
} from '../advice.ts';
import { type Check, fail, type Outcome, pass, skipped, warn } from '../check.ts';
import { type Answer, exchange, millis } from '../exchange.ts';
import { printable } from '../proxy.ts';
import { Scope } from '../scope.ts';
import { openSession } from '../session.ts';
import type { AddressReport, Walk } from '../walk.ts';

/** Finds out whether Pumphouse answers plain requests. */
export const http: Check = {
  name: 'http',
  needs: ['tls'],
  async run(walk, scope) {
    const answer = await exchange(walk, scope, new URL('api/v1/address', walk.target.httpUrl).href);
    if (answer.kind === 'failed') return fail(answer.detail, upstreamAdvice);
    const through = walk.proxy.product === '' ? '' : `, through ${walk.proxy.product}`;
    const measured = { status: answer.status, ms: answer.ms, server: walk.proxy.product };
    const report = reportOf(answer);
    if (report !== undefined) {
      walk.report = { ...report, local: answer.local, remote: answer.remote };
      return pass(`Pumphouse answers in ${millis(answer.ms)}${through}`, measured);
    }
    const explanation = explain(answer, '/api/v1/');
    if (explanation) return fail(explanation.detail, explanation.advice, measured);
    return stranger(walk, scope, answer);
  },
};

/** Distinguishes a proxy that forwards the WebSocket alone from a server that is not Pumphouse. */
async function stranger(walk: Walk, scope: Scope, { status, body }: Answer): Promise<Outcome> {
  const session = new Scope(scope.remaining / 2);
  scope.defer(() => session.close());
  const opening = await openSession(walk, session).finally(() => session.close());
  const page = await exchange(walk, scope, walk.target.httpUrl);
  const title = page.kind === 'answer' ? titleOf(page.body) : '';
  const what = `HTTP ${status} for /api/v1/address${title && `, and the page ${JSON.stringify(title)}`}`;
  if (opening.kind === 'welcome' || opening.kind === 'refused') {
    const text = 'The proxy forwards the WebSocket alone: clients without one have no fallback over HTTP.';
    return warn(what, { ...routeAdvice('/api/v1/'), text }, { status });
  }
  const isProblem = body.includes('/problems#');
  const text = isProblem
    ? 'An older Pumphouse answers, which does not report addresses.'
    : 'Something else than Pumphouse answers: compare the address in the proxy, and the name of its site.';
  const advice = { ...routeAdvice('/'), text };
  return isProblem ? warn(what, advise(text), { status }) : fail(`not Pumphouse: ${what}`, advice, { status, title });
}

/** Redirects of pages without TLS. */
export const redirect: Check = {
  name: 'redirect',
  needs: ['tls'],
  async run(walk, scope) {
    const { secure, port, httpUrl } = walk.target;
    const plainPort = walk.options.plainPort ?? 80;
    if (!secure || (port !== 443 && walk.options.plainPort === undefined)) {
      return skipped('only for https:// at port 443');
    }
    const answer = await exchange(walk, scope, httpUrl, { plainPort });
    if (answer.kind === 'failed') return pass(`port ${plainPort} is closed`);
    const { location = '' } = answer.headers;
    const measured = { status: answer.status, location };
    if (answer.status >= 300 && answer.status < 400 && location.startsWith('https:')) {
      return pass(`http:// leads to ${printable(location)}`, measured);
    }
    return warn(`http:// is answered with HTTP ${answer.status}`, redirectAdvice, measured);
  },
};

interface Explanation {
  readonly detail: string;
  readonly advice: Advice;
}

/** Explains a status that a proxy answers with, or Pumphouse because of a proxy, for a path. */
export function explain(
  { status, headers, body }: Pick<Answer, 'status' | 'headers' | 'body'>,
  path: string,
): Explanation | undefined {
  const line = `HTTP ${status}`;
  if (status >= 300 && status < 400) {
    const location = printable(String(headers.location ?? 'nowhere'));
    return {
      detail: `${line}, a redirect to ${location}`,
      advice: advise(`Clients must connect to ${location} itself.`),
    };
  }
  if (status === 505) return { detail: `${line}: HTTP/1.0 reaches Pumphouse`, advice: http10Advice };
  if (status === 502 || status === 504) return { detail: `${line}: the proxy gets no answer`, advice: upstreamAdvice };
  if (status === 503) {
    const advice = body.includes('draining') ? advise('The server is shutting down: run this again.') : upstreamAdvice;
    return { detail: `${line}: ${printable(body, 60) || 'unavailable'}`, advice };
  }
  if (status === 401 || status === 403) {
    const text = `The proxy or the server refuses access: remove the rule that covers ${path}.`;
    const nginx = { remove: ['deny all;', 'auth_basic …;'] };
    return { detail: line, advice: { text, nginx, caddy: { remove: ['basicauth …', 'respond … 403'] } } };
  }
  return undefined;
}

/** Explains the response to a WebSocket handshake, other than 101. */
export function explainHandshake(answer: Pick<Answer, 'status' | 'headers' | 'body'>, walk: Walk): Explanation {
  const path = new URL(walk.target.wsUrl).pathname;
  const explanation = explain(answer, path);
  if (explanation) return explanation;
  const { status, body } = answer;
  if (status === 404) return { detail: `HTTP 404 for ${path}`, advice: routeAdvice(path) };
  if (status === 429)
    return { detail: 'HTTP 429', advice: advise('Too many connections of this address: see the limits.') };
  const title = titleOf(body);
  const page = title ? `, the page ${JSON.stringify(title)}` : '';
  return { detail: `HTTP ${status} instead of 101${page}`, advice: upgradeAdvice };
}

function titleOf(body: string): string {
  return printable(/<title>([^<]*)/i.exec(body)?.[1] ?? '', 60);
}

function reportOf({ status, body }: Answer): AddressReport | undefined {
  if (status !== 200) return undefined;
  try {
    const { address, trustedProxy, forwarded } = JSON.parse(body) as Partial<AddressReport>;
    if (typeof address !== 'string' || typeof trustedProxy !== 'boolean' || typeof forwarded !== 'boolean') {
      return undefined;
    }
    return { address, trustedProxy, forwarded };
  } catch {
    return undefined;
  }
}
