import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { lmdb } from '../../src/engine/lmdb.ts';
import { run } from '../cli/command.ts';
import { check } from '../nodes/checker.ts';
import { RecordingClient } from '../nodes/recording-client.ts';
import { waitUntil } from '../redis/wait.ts';
import { type Server, startServer } from '../server.ts';

/** `BACKUPS=20 npx vitest run test/faults/backup.test.ts` is the long campaign. */
const BACKUPS = Number(process.env['BACKUPS'] ?? 2);
const CLIENTS = 12;
const SENDERS = 6;

// Records of another room, and a rate by which their backup takes about two seconds.
const FILLING_BYTES = 4_000_000;
const RATE = '2';

async function fill(path: string): Promise<void> {
  const engine = lmdb({ path });
  const ignore = () => {};
  await engine.open({ committed: ignore, decided: ignore, moved: ignore, skipped: ignore, changed: ignore });
  const draft = { room: 'big', from: 'a', id: '', data: 'x'.repeat(10_000), bytes: 10_000 };
  engine.append('big', Array(FILLING_BYTES / draft.bytes).fill(draft));
  await engine.close();
}

/** Returns the `seq` of the newest message of the room `r` in a backup. */
function endOf(backup: string): number {
  const messages = readFileSync(join(backup, 'messages.jsonl'), 'utf8');
  return Number(/^\{"room":"r",.*"last":(\d+)\}$/m.exec(messages)?.[1]);
}

const lastAcknowledged = (clients: readonly RecordingClient[]) =>
  Math.max(...clients.flatMap((client) => client.events('sent').map(({ seq }) => seq)));

test(
  `restores what was acknowledged before a backup under load, across ${BACKUPS} backups and kills of the server`,
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pumphouse-backup-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const [data, restored] = [join(folder, 'data'), join(folder, 'restored')];
    const start = (path: string, port?: number) =>
      startServer(['--engine', 'lmdb', '--data', path, '--publish-rate', 'off'], port);
    let server: Server = await start(data);
    await server.kill();
    await fill(data);
    server = await start(data, server.port);
    onTestFinished(() => server.kill('SIGKILL'));
    const { port } = server;
    const clients = Array.from({ length: CLIENTS }, (_, i) => new RecordingClient({ name: `c${i}`, ports: [port] }));
    const early = new RecordingClient({ name: 'early', ports: [port], reconnects: false });
    const all = [...clients, early];
    onTestFinished(() => {
      for (const client of all) client.stop();
    });
    await waitUntil('every client has joined', () => all.every(({ joined }) => joined));
    const sending = setInterval(() => {
      for (const client of clients.slice(0, SENDERS)) if (client.pending < 20) client.send();
    }, 5);
    onTestFinished(() => clearInterval(sending));
    await waitUntil('messages flow', () => (early.place?.seq ?? 0) > 50);
    early.disconnect();

    let backup = '';
    for (let i = 0; i < BACKUPS; i++) {
      await sleep(Math.random() * 1_000); // any moment of the store's transactions, which run once a second
      const acknowledged = lastAcknowledged(clients);
      backup = join(folder, `backup-${i}`);
      const running = run(['backup', '--data', data, '--to', backup, '--rate', RATE]);
      if (i % 2 === 1) {
        await sleep(Math.random() * 2_000);
        await server.kill('SIGKILL');
        server = await start(data, port);
      }
      expect(await running).toMatchObject({ code: 0, stderr: '' });
      expect(await run(['verify', backup])).toMatchObject({ code: 0, stderr: '' });
      expect(endOf(backup)).toBeGreaterThanOrEqual(acknowledged);
    }
    const end = endOf(backup);
    await waitUntil('the clients are past the backup', () =>
      clients.every(({ place }) => (place?.seq ?? 0) > end + 20),
    );
    await server.kill('SIGKILL');
    expect(await run(['restore', backup, '--data', restored])).toMatchObject({ code: 0, stderr: '' });
    server = await start(restored, port);
    early.reconnects = true;
    early.connect();
    await sleep(1_000);
    clearInterval(sending);
    for (const client of all) await client.settled();
    await waitUntil('every client has every message', () => new Set(all.map(({ place }) => place?.seq)).size === 1);
    await clients[0]?.readAll();

    expect(
      check(
        all.map(({ history }) => history),
        { settled: true },
      ),
    ).toEqual([]);
    const rejoined = (client: RecordingClient) => client.events('joined').at(-1);
    for (const client of clients) {
      const lost = { from: end + 1, to: expect.any(Number) as number };
      expect(rejoined(client)).toMatchObject({ recovered: false, seq: end, lost });
    }
    expect(rejoined(early)).toMatchObject({ recovered: true });
    expect(rejoined(early)?.lost).toBeUndefined();
    expect(all.flatMap((client) => client.events('gap'))).toEqual([]);
    const sessions = (client: RecordingClient) => new Set(client.events('welcome').map(({ session }) => session));
    expect(all.every((client) => sessions(client).size === 1)).toBe(true);
    await server.kill();
    expect(await run(['verify', restored])).toMatchObject({ code: 0, stderr: '' });
  },
  120_000 + BACKUPS * 20_000,
);

test('backs up rooms whose oldest messages the server deletes meanwhile, without a hole', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pumphouse-backup-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const data = join(folder, 'data');
  const flags = ['--engine', 'lmdb', '--data', data, '--publish-rate', 'off', '--keep-megabytes', '1'];
  const server = await startServer(flags);
  onTestFinished(() => server.kill('SIGKILL'));
  const rooms = ['r', 's', 't'];
  const clients = rooms.map((room) => new RecordingClient({ name: `in-${room}`, room, ports: [server.port] }));
  onTestFinished(() => {
    for (const client of clients) client.stop();
  });
  await waitUntil('every client has joined', () => clients.every(({ joined }) => joined));
  const sending = setInterval(() => {
    for (const client of clients) if (client.pending < 20) client.send('x'.repeat(16_000));
  }, 2);
  onTestFinished(() => clearInterval(sending));
  const trimmed = () => clients.every(({ place }) => (place?.seq ?? 0) > 100);
  await waitUntil('the server deletes messages', trimmed, 20_000);
  for (const [name, rate] of Object.entries({ slow: '0.5', quick: 'off' })) {
    const acknowledged = lastAcknowledged(clients.slice(0, 1));
    const backup = join(folder, name);
    expect(await run(['backup', '--data', data, '--to', backup, '--rate', rate])).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(await run(['verify', backup])).toMatchObject({ code: 0, stderr: '' });
    expect(endOf(backup)).toBeGreaterThanOrEqual(acknowledged);
  }
}, 180_000);
