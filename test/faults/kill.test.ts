import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { until } from '../integration/server.ts';
import { type Server, startServer } from '../server.ts';
import { samplesByWorker } from '../workers/metrics.ts';
import { variant } from '../workers/variants.ts';
import { BadNetwork } from './bad-network.ts';
import { Survivor } from './survivor.ts';

/** `KILLS=50 npx vitest run test/faults/kill.test.ts` is the long campaign. */
const KILLS = Number(process.env['KILLS'] ?? 10);
const TIMEOUT_MS = 60_000 + KILLS * 6_000;
const CLIENTS = 200;
const SENDERS = 20;
// Each connection has about one fault a second.
const FAULTS = { everyMs: 1_000 };

test(
  `delivers every message once and in order to ${CLIENTS} clients on a bad network across ${KILLS} kills of the server`,
  async () => {
    const data = mkdtempSync(join(tmpdir(), 'pumphouse-kill-'));
    const flags = ['--engine', 'lmdb', '--data', data, '--publish-rate', 'off'];
    let server: Server = await startServer(flags);
    const { network, port } = await BadNetwork.listen(server.port, FAULTS);
    const clients = Array.from({ length: CLIENTS }, (_, i) => new Survivor(port, `c${i}`));
    await until('every client has joined', () => clients.every(({ joined }) => joined));
    network.degrade();
    const sending = setInterval(() => {
      for (const client of clients.slice(0, SENDERS)) client.send();
    }, 5);
    try {
      for (let kills = 0; kills < KILLS; kills++) {
        // Before, during and after the store's transactions, which run once a second.
        await sleep(300 + Math.random() * 1_000);
        await server.kill('SIGKILL');
        server = await startServer(flags, server.port);
      }
      await sleep(300);
      clearInterval(sending);
      network.recover();
      const receivedCounts = () => clients.map(({ received }) => received.length);
      const sentCount = () => clients.reduce((sum, { acknowledged, pending }) => sum + acknowledged.size + pending, 0);
      const complete = () =>
        clients.every(({ pending }) => pending === 0) && receivedCounts().every((count) => count === sentCount());
      for (let i = 0; i < 500 && !complete(); i++) await sleep(20);
      expect(clients.flatMap(({ violations }) => violations)).toEqual([]);
      expect(clients.every(({ connections }) => connections > 1)).toBe(true);
      expect(Object.values(network.counts).every((count) => count > 20)).toBe(true);
      const first = clients[0] as Survivor;
      expect(first.received.length).toBeGreaterThan(1000);
      expect(new Set(receivedCounts())).toEqual(new Set([sentCount()]));
      // Every client received the same messages, each once, with the seq that its sender got.
      const transcript = ({ received }: Survivor) =>
        received.map(({ seq, id, from, data }) => `${seq} ${id} ${from} ${data}`);
      const expected = transcript(first);
      for (const client of clients) expect(transcript(client)).toEqual(expected);
      const seqs = new Map(first.received.map(({ id, seq }) => [id, seq]));
      expect(seqs.size).toBe(first.received.length);
      for (const { acknowledged } of clients) for (const [id, seq] of acknowledged) expect(seqs.get(id)).toBe(seq);
      // With several workers, the transcripts that were compared are those of the clients of each.
      const connections =
        variant.workers === 1 ? new Map() : await samplesByWorker(server.url, 'pumphouse_connections');
      expect(connections.size).toBe(variant.workers === 1 ? 0 : variant.workers);
      for (const [worker, count] of connections) expect(count, `clients of worker ${worker}`).toBeGreaterThan(20);
      if (process.env['KILLS']) console.log(summaryOf(clients), ...connections);
    } finally {
      clearInterval(sending);
      for (const client of clients) client.stop();
      network.close();
      await server.kill('SIGKILL');
      rmSync(data, { recursive: true, force: true });
    }
  },
  TIMEOUT_MS,
);

function summaryOf(clients: readonly Survivor[]): string {
  const sum = (count: (client: Survivor) => number) => clients.reduce((total, client) => total + count(client), 0);
  const [acknowledged, deliveries] = [
    sum((client) => client.acknowledged.size),
    sum(({ received }) => received.length),
  ];
  return `${KILLS} kills: ${acknowledged} messages acknowledged, ${deliveries} delivered, in one order`;
}
