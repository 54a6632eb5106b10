import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import type { ClientMessage } from '../../src/protocol/v1.ts';
import { Peer } from '../conformance/server.ts';
import { until } from '../integration/server.ts';
import { type Server, startServer } from '../server.ts';
import { samplesByWorker } from '../workers/metrics.ts';
import { transports } from '../workers/variants.ts';

// What the engine in memory retains of a room, and the part of it that it trims late.
const RETAINED = 8_192;
const SLACK = 1 / 8;

// Noise that fills the ring of 8 MiB, and messages that retention passes.
const RING_FILLING = 1_000;
const MESSAGES = 12_000;
// Noise after which the process has the memory that it needs under load, and all noise.
const WARM_UP = 6_000;
const LOAD = 15_000;
const NOISE = 'x'.repeat(16_000);
// Far less than a queue for the slow worker would grow by.
const MAX_GROWTH = 0.5 * (LOAD - WARM_UP) * NOISE.length;
const IN_FLIGHT = 50;

let server: Server | undefined;
const folder = mkdtempSync(join(tmpdir(), 'pumphouse-slow-worker-'));
afterEach(async () => {
  vi.unstubAllEnvs();
  await server?.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const stalled = join(folder, 'stalled');
const resumed = join(folder, 'resumed');

/** Users are named by their worker, and a message stalls its sender's, until a file exists. */
const hooks = `
  import { existsSync, writeFileSync } from 'node:fs';
  import { threadId } from 'node:worker_threads';
  const cell = new Int32Array(new SharedArrayBuffer(4));
  export const connect = ({ query }) => ({ user: query.get('user') + threadId });
  export const send = (_, __, data) => {
    if (data !== 'stall') return true;
    writeFileSync(${JSON.stringify(stalled)}, '');
    for (let i = 0; i < 3_000 && !existsSync(${JSON.stringify(resumed)}); i++) Atomics.wait(cell, 0, 0, 20);
    return true;
  };`;

/** Connects to a worker: the kernel spreads the connections, so that it takes some attempts. */
async function connectTo(worker: number, port: number, user: string): Promise<Peer> {
  for (;;) {
    const peer = await Peer.connect(port, `?user=${user}`);
    if ((await peer.next('welcome')).user === `${user}${worker}`) return peer;
    peer.socket.terminate();
  }
}

/** Sends noise to a room that the peer has joined, and resolves when all of it is acknowledged. */
async function sendNoise({ socket }: Peer, from: number, to: number): Promise<void> {
  let acknowledged = 0;
  const count = (frame: unknown) => {
    acknowledged += String(frame).match(/"t":"sent"/g)?.length ?? 0;
  };
  socket.on('message', count);
  for (let sent = from; sent < to; sent++) {
    socket.send(JSON.stringify({ t: 'send', room: 'noise', id: `${sent}`, data: NOISE }));
    if (sent % IN_FLIGHT === 0) await until('the noise is acknowledged', () => sent - from - acknowledged < IN_FLIGHT);
  }
  await until('all noise is acknowledged', () => acknowledged === to - from);
  socket.off('message', count);
}

/** The peak of a process's resident memory, in bytes. */
function peakMemory({ pid }: Server): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

const seqsOf = ({ got }: Peer) => got.flatMap((message) => (message.t === 'message' ? message.seq : []));
const gapsOf = ({ got }: Peer) => got.filter(({ t }) => t === 'gap');
/** The last message or missing message that a peer of one room knows of. */
const endOf = ({ got }: Peer) => {
  const last = got.findLast(({ t }) => t === 'message' || t === 'gap');
  return last?.t === 'message' ? last.seq : last?.t === 'gap' ? last.to : 0;
};
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Expects that the messages and gaps of a peer cover every seq once, in order. */
function expectAccountedFor({ got }: Peer): void {
  let next = 1;
  for (const message of got) {
    if (message.t === 'gap') {
      expect(message.from).toBe(next);
      next = message.to + 1;
    } else if (message.t === 'message') expect(message.seq).toBe(next++);
  }
}

const canShare = transports.includes('uws') && existsSync('/proc/self/status');

test.skipIf(!canShare)(
  '12, with a full ring: names the exact gap to the clients of a worker that retention passed, and bounds its memory',
  async () => {
    const hooksPath = join(folder, 'hooks.mjs');
    const config = join(folder, 'config.json');
    writeFileSync(hooksPath, hooks);
    writeFileSync(config, JSON.stringify({ rooms: { noise: { slow: 'skip' } } }));
    const flags = ['--workers', '2', '--transport', 'uws', '--hooks', hooksPath, '--config', config];
    // A small young generation: what is not collected yet would count as growth.
    vi.stubEnv('NODE_OPTIONS', '--max-semi-space-size=1');
    server = await startServer([...flags, '--publish-rate', 'off', '--send-buffer', '100000']);
    const { port, url } = server;
    const [ada, dan] = [await connectTo(1, port, 'ada'), await connectTo(1, port, 'dan')];
    const [bob, carol] = [await connectTo(2, port, 'bob'), await connectTo(2, port, 'carol')];
    const eve = await connectTo(2, port, 'eve');
    const { epoch } = await ada.join('r');
    await Promise.all([bob.join('r'), dan.join('noise'), carol.join('noise'), eve.join('slow')]);
    for (const data of range(1, 5)) await ada.say('r', data);
    await until('bob has the first messages', () => seqsOf(bob).length === 5);

    eve.send({ t: 'send', room: 'slow', id: 'stall', data: 'stall' });
    await until('the worker is stalled', () => existsSync(stalled));
    // The log thread and the other worker go on: all of this is acknowledged meanwhile.
    await sendNoise(dan, 0, RING_FILLING);
    for (let next = 6; next <= MESSAGES; ) {
      const ids = range(next, Math.min(MESSAGES, next + 99));
      ada.send(...ids.map((id): ClientMessage => ({ t: 'send', room: 'r', id: `${id}`, data: id })));
      next += ids.length;
      await until('ada has her messages', () => seqsOf(ada).length === next - 1);
    }
    await sendNoise(dan, RING_FILLING, WARM_UP);
    const before = peakMemory(server);
    await sendNoise(dan, WARM_UP, LOAD);
    expect(existsSync(resumed)).toBe(false);
    expect(seqsOf(ada)).toEqual(range(1, MESSAGES));
    expect(seqsOf(bob)).toEqual(range(1, 5));
    expect(peakMemory(server) - before).toBeLessThan(MAX_GROWTH);

    writeFileSync(resumed, '');
    await until('bob has the newest message', () => seqsOf(bob).at(-1) === MESSAGES);
    const gap = await bob.next('gap');
    expect(gap).toMatchObject({ room: 'r', from: 6, why: 'trimmed' });
    expect(MESSAGES - gap.to).toBeGreaterThanOrEqual(RETAINED);
    expect(MESSAGES - gap.to).toBeLessThanOrEqual(RETAINED * (1 + SLACK));
    expect(gapsOf(bob)).toEqual([gap]);
    expect(seqsOf(bob)).toEqual([...range(1, 5), ...range(gap.to + 1, MESSAGES)]);
    const late = await connectTo(2, port, 'late');
    expect(await late.join('r', { since: { epoch, seq: 5 } })).toMatchObject({ recovered: false, seq: gap.to });
    expect(gapsOf(ada)).toEqual([]);
    await until('carol has the end of the noise', () => endOf(carol) === LOAD);
    expectAccountedFor(carol);

    const full = await samplesByWorker(url, 'pumphouse_ring_full_total');
    expect(full.get('1')).toBe(0);
    expect(full.get('2')).toBeGreaterThan(0);
    expect(peakMemory(server) - before).toBeLessThan(MAX_GROWTH);
    expect(await bob.say('r', 'after')).toMatchObject({ seq: MESSAGES + 1 });
  },
  60_000,
);
