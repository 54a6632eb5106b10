import { Random } from '../simulation/virtual.ts';
import { type ApiRequest, apiRequest, type FuzzKeys } from './api-grammar.ts';
import type { Findings } from './fuzz.ts';
import { Peer } from './peer.ts';

const TIMEOUT_MS = 15_000;
const CONNECTIONS = 40;
const MAX_REQUESTS = 30;
const MAX_FAILURES = 10;

/** Requests that are not valid HTTP are answered by the transport, which knows other versions. */
const TRANSPORT_STATUSES = [501, 505];

interface Response {
  readonly status: number;
  readonly type: string;
  readonly closes: boolean;
  readonly body: string;
}

interface Outcome {
  readonly cases: number;
  readonly answers: readonly string[];
  readonly failure?: string;
}

/** Sends `count` random requests to the Server API, many on each connection. */
export async function fuzzApi(port: number, keys: FuzzKeys, seed: number, count: number): Promise<Findings> {
  const answers: Record<string, number> = {};
  const failures: string[] = [];
  let cases = 0;
  let connections = 0;
  const worker = async () => {
    while (cases < count && failures.length < MAX_FAILURES) {
      const connection = connections++;
      const outcome = await converse(port, keys, new Random(seed * 1_000_003 + connection));
      cases += outcome.cases;
      for (const answer of outcome.answers) answers[answer] = (answers[answer] ?? 0) + 1;
      if (outcome.failure) failures.push(`seed ${seed}, connection ${connection}: ${outcome.failure}`);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  return { cases, answers, failures };
}

/** Sends requests on one connection until either side ends it. Each must be answered properly. */
async function converse(port: number, keys: FuzzKeys, random: Random): Promise<Outcome> {
  const peer = new Peer(port);
  const answers: string[] = [];
  let cases = 0;
  const fail = (failure: string) => {
    peer.destroy();
    return { cases, answers, failure };
  };
  for (const end = random.int(1, MAX_REQUESTS); cases < end && !peer.closed; ) {
    const request = apiRequest(random, keys);
    cases++;
    await write(peer, request, random);
    if (!request.whole) {
      const failure = await finish(peer, answers, request, random.chance(0.3));
      return failure === undefined ? { cases, answers } : fail(failure);
    }
    const response = await receive(peer, request.method);
    if (response === undefined) {
      if (peer.closed && peer.received.length === 0 && cases > 1 && answers.at(-1)?.endsWith('closes')) break;
      return fail(
        `no answer to ${show(request)}, but ${JSON.stringify(peer.received.toString('latin1').slice(0, 200))}`,
      );
    }
    answers.push(`http ${response.status}${response.closes ? ' closes' : ''}`);
    const problem = check(request, response);
    if (problem !== undefined) return fail(`${problem} to ${show(request)}`);
    if (response.closes) break;
  }
  peer.destroy();
  return { cases, answers };
}

async function write(peer: Peer, { bytes }: ApiRequest, random: Random): Promise<void> {
  const pieces = random.chance(0.1) ? random.int(2, 4) : 1;
  for (let i = 0; i < pieces; i++) {
    await peer.write(bytes.subarray((i * bytes.length) / pieces, ((i + 1) * bytes.length) / pieces));
  }
}

/**
 * Ends a connection after bytes that are no whole request. The server must close its side, too.
 *
 * @param cut ends it at once, without a look at the answer.
 */
async function finish(peer: Peer, answers: string[], request: ApiRequest, cut: boolean): Promise<string | undefined> {
  if (cut) {
    peer.destroy();
    answers.push('cut');
    return undefined;
  }
  await peer.until(() => peer.received.includes('\r\n\r\n') || peer.closed, 20);
  peer.end();
  const ended = await peer.until(() => peer.closed, TIMEOUT_MS);
  const statuses = [...peer.received.toString('latin1').matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) =>
    Number(status),
  );
  peer.destroy();
  for (const status of statuses) answers.push(`http ${status} malformed`);
  if (!ended) return `hangs after ${show(request)}`;
  const bad = statuses.find((status) => status >= 500 && !TRANSPORT_STATUSES.includes(status));
  return bad === undefined ? undefined : `${bad} after ${show(request)}`;
}

/** Receives one response, past those of 1xx. @returns undefined without a whole one. */
async function receive(peer: Peer, method: string): Promise<Response | undefined> {
  for (;;) {
    const headEnd = () => peer.received.indexOf('\r\n\r\n');
    await peer.until(() => headEnd() >= 0 || peer.closed, TIMEOUT_MS);
    if (headEnd() < 0) return undefined;
    const head = peer.received.subarray(0, headEnd()).toString('latin1');
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
    const start = headEnd() + 4;
    if (status >= 100 && status < 200) {
      peer.take(start);
      continue;
    }
    const declared = Number(/^content-length: *(\d+)\r?$/im.exec(head)?.[1] ?? 0);
    const length = method === 'HEAD' ? 0 : declared;
    await peer.until(() => peer.received.length >= start + length || peer.closed, TIMEOUT_MS);
    if (peer.received.length < start + length || Number.isNaN(status)) return undefined;
    const body = peer.received.subarray(start, start + length).toString();
    peer.take(start + length);
    const type = /^content-type: *(.*?)\r?$/im.exec(head)?.[1] ?? '';
    return { status, type, body, closes: /^connection: *close\r?$/im.test(head) };
  }
}

/** Returns what is wrong with an answer to a request of valid HTTP. */
function check({ method, expected }: ApiRequest, { status, type, body }: Response): string | undefined {
  if (status >= 500) return `status ${status}: ${body}`;
  if (expected !== undefined && status !== expected) return `status ${status} instead of ${expected}: ${body}`;
  if (method === 'HEAD' || body === '') return undefined;
  let value: { readonly status?: unknown; readonly type?: unknown };
  try {
    value = JSON.parse(body);
  } catch {
    return type.startsWith('text/plain') ? undefined : `a body that is not ${type}`;
  }
  if (status < 400) return undefined;
  const isProblem = type === 'application/problem+json' && value.status === status && typeof value.type === 'string';
  return isProblem ? undefined : `${status} that is no problem: ${body}`;
}

function show({ bytes }: ApiRequest): string {
  const text = JSON.stringify(bytes.toString('latin1'));
  return text.length > 1500 ? `${text.slice(0, 1500)}…` : text;
}
