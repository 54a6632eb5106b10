// How a server stands it when everyone comes back at once: it is killed and started again, all clients connect in the same moment
// and each gets all that was said. Every client's messages are counted and their order is checked.
//   npm run bench:recover -- --clients 10000 --messages 1000 --engine lmdb
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Connection } from './connection.ts';
import { type Server, startServer } from './server.ts';
import { readingsOf } from './usage.ts';

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '10000' },
    messages: { type: 'string', default: '1000' },
    bytes: { type: 'string', default: '64' },
    engine: { type: 'string', default: 'lmdb' },
  },
});
const [clients, messages, bytes] = [values.clients, values.messages, values.bytes].map(Number) as [
  number,
  number,
  number,
];
const ROOM = 'recover';
const LAG = 'nodejs_eventloop_lag_max_seconds';
const MEMORY = 'process_resident_memory_bytes';
const PEAK_EVERY_MS = 100;

const data = mkdtempSync(join(tmpdir(), 'pumphouse-recover-'));
const flags = [
  '--engine',
  values.engine,
  '--data',
  data,
  '--wire',
  'v1',
  '--publish-rate',
  'off',
  '--log-level',
  'error',
];
let server = await startServer(flags);
try {
  const epoch = await talk(server);
  if (values.engine === 'lmdb') {
    await server.kill('SIGKILL');
    server = await startServer(flags, server.port);
  }
  await readingsOf(server.url); // the longest lag starts anew
  await report(server, epoch);
} finally {
  await server.kill('SIGKILL');
  rmSync(data, { recursive: true, force: true });
}

/** Says all the messages. @returns the room's epoch, once each is stored. */
async function talk({ url }: Server): Promise<string> {
  let epoch = '';
  let sent = 0;
  let done = () => {};
  const stored = new Promise<void>((resolve) => (done = resolve));
  const hear = (payload: Buffer | undefined) => {
    for (const line of String(payload).split('\n')) {
      const message = JSON.parse(line);
      if (message.t === 'joined') epoch = message.epoch;
      if (message.t === 'sent' && ++sent === messages) done();
    }
  };
  const connection = await Connection.open(new URL('/ws?user=talker', url), { message: hear, closed() {} }, true);
  const text = 'x'.repeat(bytes);
  const say = (t: object) => connection.send([Buffer.from(JSON.stringify(t))]);
  say({ t: 'join', room: ROOM });
  for (let id = 0; id < messages; id++) say({ t: 'send', room: ROOM, id: `${id}`, data: text });
  await stored;
  await connection.close();
  return epoch;
}

async function report(server: Server, epoch: string): Promise<void> {
  const join = Buffer.from(JSON.stringify({ t: 'join', room: ROOM, since: { epoch, seq: 0 } }));
  const began = performance.now();
  let connected = 0;
  let whole = 0;
  const wrong: string[] = [];
  let peak = 0;
  let longest = 0;
  let busy = false;
  const watch = setInterval(async () => {
    if (busy) return;
    busy = true;
    const readings = await readingsOf(server.url).catch(() => undefined);
    busy = false;
    peak = Math.max(peak, readings?.get(MEMORY) ?? 0);
    longest = Math.max(longest, readings?.get(LAG) ?? 0);
  }, PEAK_EVERY_MS);
  const comeBack = () =>
    new Promise<void>((resolve) => {
      let seq = 0;
      let done = false;
      const hear = (payload: Buffer | undefined) => {
        const text = (payload as Buffer).toString('latin1');
        for (let at = text.indexOf('"t":"message"'); at >= 0; at = text.indexOf('"t":"message"', at + 1)) {
          const from = text.indexOf('"seq":', at) + 6;
          if (Number(text.slice(from, text.indexOf(',', from))) !== ++seq) wrong.push(`not ${seq}`);
        }
        if (seq < messages || done) return;
        done = true;
        whole++;
        resolve();
      };
      const closed = (code: number) => {
        if (seq < messages) wrong.push(`closed with ${code} at ${seq}`);
        resolve();
      };
      Connection.open(new URL('/ws', server.url), { message: hear, closed }, true).then(
        (connection) => {
          connected = performance.now();
          connection.send([join]);
        },
        (error) => {
          wrong.push(error.message);
          resolve();
        },
      );
    });
  await Promise.all(Array.from({ length: clients }, comeBack));
  const ended = performance.now();
  clearInterval(watch);
  const readings = await readingsOf(server.url);
  longest = Math.max(longest, readings.get(LAG) ?? 0);
  const seconds = (ms: number) => (ms / 1000).toFixed(2);
  console.log(
    `${whole} of ${clients} clients got all ${messages} messages, once and in order; ${wrong.length} did not`,
  );
  console.log(`all connected after ${seconds(connected - began)} s, all recovered after ${seconds(ended - began)} s`);
  console.log(
    `server: ${(peak / 1e6).toFixed(0)} MB at most, longest stall of its loop ${(longest * 1000).toFixed(0)} ms`,
  );
  for (const what of new Set(wrong.slice(0, 5))) console.log(what);
  process.exitCode = wrong.length > 0 ? 1 : 0;
  setTimeout(() => process.exit(), 100); // ten thousand sockets need not say goodbye
}
