import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { until } from '../integration/server.ts';
import { type Server, startServer } from '../server.ts';
import { BadNetwork } from './bad-network.ts';
import { Survivor } from './survivor.ts';

const KILLS = 10;
const CLIENTS = 200;
const SENDERS = 20;
// Of one connection, in milliseconds: each of the clients is in trouble about once a second.
const TROUBLE = { every: 1_000 };

test(`${CLIENTS} clients on a bad network and a server that is killed ${KILLS} times: everything that is said reaches everyone once, in order`, async () => {
  const data = mkdtempSync(join(tmpdir(), 'pumphouse-kill-'));
  const flags = ['--engine', 'lmdb', '--data', data, '--publish-rate', 'off'];
  let server: Server = await startServer(flags);
  const { network, port } = await BadNetwork.listen(server.port, TROUBLE);
  const clients = Array.from({ length: CLIENTS }, (_, i) => new Survivor(port, `c${i}`));
  await until('all are in', () => clients.every(({ joined }) => joined));
  network.spoil();
  const talking = setInterval(() => {
    for (const client of clients.slice(0, SENDERS)) client.say();
  }, 5);
  try {
    for (let kills = 0; kills < KILLS; kills++) {
      await sleep(300 + Math.random() * 200);
      await server.kill('SIGKILL');
      server = await startServer(flags, server.port);
    }
    await sleep(300);
    clearInterval(talking);
    network.calm();
    const heard = () => clients.map((client) => client.heard.length);
    const said = () => clients.reduce((sum, client) => sum + client.sent.size + client.unanswered, 0);
    for (
      let i = 0;
      i < 500 && !(clients.every(({ unanswered }) => unanswered === 0) && heard().every((n) => n === said()));
      i++
    ) {
      await sleep(20);
    }
    expect(clients.flatMap(({ wrong }) => wrong)).toEqual([]);
    expect(clients.every(({ connections }) => connections > 1)).toBe(true);
    expect(Object.values(network.counts).every((count) => count > 20)).toBe(true);
    const first = clients[0] as Survivor;
    expect(first.heard.length).toBeGreaterThan(1000);
    expect(new Set(heard())).toEqual(new Set([said()]));
    // All heard the same, everything that was said is there once, and where its sender was told.
    const all = first.heard.map(({ seq, id, from, data }) => `${seq} ${id} ${from} ${data}`);
    for (const client of clients)
      expect(client.heard.map(({ seq, id, from, data }) => `${seq} ${id} ${from} ${data}`)).toEqual(all);
    const seqs = new Map(first.heard.map(({ id, seq }) => [id, seq]));
    expect(seqs.size).toBe(first.heard.length);
    for (const client of clients) for (const [id, seq] of client.sent) expect(seqs.get(id)).toBe(seq);
  } finally {
    clearInterval(talking);
    for (const client of clients) client.stop();
    network.close();
    await server.kill('SIGKILL');
    rmSync(data, { recursive: true, force: true });
  }
}, 120_000);
