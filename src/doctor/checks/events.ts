import { randomUUID } from 'node:crypto';
import type { Welcome } from '../../protocol/v1.ts';
import { type Advice, advise, bufferingAdvice, compressionAdvice, routeAdvice } from '../advice.ts';
import { type Check, fail, type Outcome, pass, skipped, warn } from '../check.ts';
import { EventStream } from '../event-stream.ts';
import { exchange, millis } from '../exchange.ts';
import { printable } from '../proxy.ts';
import { LATE, type Scope } from '../scope.ts';
import type { Walk } from '../walk.ts';
import { explain } from './http.ts';

// An unbuffered event needs about a round trip. A proxy holds others until its buffer is full.
const HELD_MS = 5_000;
const SLOW_MS = 1_000;

/** A stream whose first event has arrived, or the outcome of the check. */
type Started =
  | { readonly kind: 'started'; readonly stream: EventStream; readonly firstMs: number }
  | { readonly kind: 'done'; readonly outcome: Outcome };

/** The way of the client library without a WebSocket: a stream, and requests beside it. */
export const sessionEvents: Check = {
  name: 'session-events',
  needs: ['http'],
  async run(walk, scope) {
    const { room } = walk.options;
    const body = `${JSON.stringify({ t: 'join', room })}\n`;
    const started = await start(walk, scope, 'api/v1/session/events', { method: 'POST', body });
    if (started.kind === 'done') return started.outcome;
    return followMessage(walk, scope, started, messagesOf(started.stream).find(isWelcome));
  },
};

/** The way of `EventSource`. The messages come from a session over HTTP. */
export const roomEvents: Check = {
  name: 'room-events',
  needs: ['http'],
  async run(walk, scope) {
    const path = `api/v1/rooms/${encodeURIComponent(walk.options.room)}/events`;
    const started = await start(walk, scope, path, { method: 'GET' });
    if (started.kind === 'done') return started.outcome;
    const sender = await start(walk, scope, 'api/v1/session/events', { method: 'POST', body: '' });
    const welcome = sender.kind === 'started' ? messagesOf(sender.stream).find(isWelcome) : undefined;
    if (sender.kind === 'started') return followMessage(walk, scope, started, welcome);
    return pass(`the first event after ${millis(started.firstMs)}; no message sent`, { firstMs: started.firstMs });
  },
};

/** Opens a stream, and waits for its first event. */
async function start(
  walk: Walk,
  scope: Scope,
  path: string,
  init: { readonly method: 'GET' | 'POST'; readonly body?: string },
): Promise<Started> {
  const began = performance.now();
  const opened = await within(scope, EventStream.open(walk, scope, new URL(path, walk.target.httpUrl).href, init));
  if (opened === LATE) return done(fail('neither headers nor an event arrive', bufferingAdvice));
  if (opened.kind === 'failed') return done(fail(opened.detail, bufferingAdvice));
  const { stream } = opened;
  const rejected = await rejection(walk, stream, path);
  if (rejected) return done(rejected);
  const first = await stream.until(() => stream.events[0], HELD_MS);
  if (first === LATE) {
    return done(fail(`headers after ${millis(stream.ms)}, and no event`, bufferingAdvice, { headersMs: stream.ms }));
  }
  return { kind: 'started', stream, firstMs: first.at - began };
}

function done(outcome: Outcome): Started {
  return { kind: 'done', outcome };
}

/** Leaves time to report what is held back. */
function within<T>(scope: Scope, promise: Promise<T>) {
  return scope.wait(promise, Math.min(HELD_MS, scope.remaining * 0.9));
}

async function rejection(walk: Walk, stream: EventStream, path: string): Promise<Outcome | undefined> {
  const { status, headers } = stream;
  if (status !== 200) {
    await stream.until(() => (stream.ended ? true : undefined));
    return rejectedStatus(walk, stream, path);
  }
  const { 'content-type': type = 'none', 'content-encoding': encoding } = headers;
  if (encoding !== undefined && encoding !== 'identity') {
    return fail(`compressed with ${printable(encoding)}`, compressionAdvice, { encoding });
  }
  if (type.startsWith('text/event-stream')) return undefined;
  return fail(`${printable(type)} instead of text/event-stream`, routeAdvice(`/${path}`), { contentType: type });
}

function rejectedStatus(walk: Walk, { status, headers, body }: EventStream, path: string): Outcome {
  if (status === 401 && walk.options.token === undefined) {
    return skipped('the server requires a token or a login: --token TOKEN');
  }
  if (status === 403 && body.includes('/problems#')) {
    return skipped(`the room or the client is not allowed: ${detailOf(body)}`);
  }
  if (body.includes('/problems#')) {
    return fail(`HTTP ${status}: ${detailOf(body)}`, advise('The server refuses the stream.'), { status });
  }
  if (status === 404) {
    const text = 'The proxy does not forward this path: clients without a WebSocket have no fallback.';
    return warn(`HTTP 404 for /${path}`, { ...routeAdvice('/api/v1/'), text }, { status });
  }
  const explanation = explain({ status, headers, body }, `/${path}`);
  const advice: Advice = explanation?.advice ?? routeAdvice(`/${path}`);
  return fail(explanation?.detail ?? `HTTP ${status}`, advice, { status });
}

function detailOf(body: string): string {
  try {
    return printable(String((JSON.parse(body) as { readonly detail?: string }).detail));
  } catch {
    return 'no reason given';
  }
}

/** Sends a message by a request, and measures when the stream has it. */
async function followMessage(
  walk: Walk,
  scope: Scope,
  { stream, firstMs }: Started & { readonly kind: 'started' },
  welcome: Welcome | undefined,
): Promise<Outcome> {
  if (welcome === undefined) return fail('the stream has no welcome', advise('Something in between changes it.'));
  const { room } = walk.options;
  const id = `doctor-${randomUUID()}`;
  const sentAt = performance.now();
  const headers = { 'pumphouse-session': welcome.resume, 'content-type': 'text/plain', ...walk.authorization };
  const body = `${JSON.stringify({ t: 'send', room, id, data: { text: 'pumphouse doctor' } })}\n`;
  const url = new URL('api/v1/session', walk.target.httpUrl).href;
  const measured = { headersMs: stream.ms, firstMs };
  const answer = await exchange(walk, scope, url, { method: 'POST', headers, body });
  if (answer.kind === 'failed')
    return fail(`no answer to a message: ${answer.detail}`, routeAdvice('/api/v1/'), measured);
  if (answer.status !== 200) return fail(`HTTP ${answer.status} for a message`, routeAdvice('/api/v1/'), measured);
  if (!answer.body.includes('"t":"sent"')) return skipped(`the message is not stored: ${printable(answer.body)}`);
  // It may have arrived before the answer.
  const event = await stream.until(() => stream.events.find(({ data }) => data.includes(`"${id}"`)), HELD_MS);
  if (event === LATE) {
    return fail(`the first event after ${millis(firstMs)}, and no message`, bufferingAdvice, measured);
  }
  const messageMs = event.at - sentAt;
  const detail = `the first event after ${millis(firstMs)}, a message after ${millis(messageMs)}`;
  const all = { ...measured, messageMs, accelBuffering: stream.headers['x-accel-buffering'] ?? '' };
  return Math.max(firstMs, messageMs) > SLOW_MS ? warn(detail, bufferingAdvice, all) : pass(detail, all);
}

function messagesOf({ events }: EventStream): readonly { readonly t?: string }[] {
  return events
    .filter(({ name }) => name === 'message')
    .flatMap(({ data }) => data.split('\n'))
    .map((line) => parse(line));
}

function parse(line: string): { readonly t?: string } {
  try {
    return JSON.parse(line) as { readonly t?: string };
  } catch {
    return {};
  }
}

function isWelcome(message: { readonly t?: string }): message is Welcome {
  return message.t === 'welcome';
}
