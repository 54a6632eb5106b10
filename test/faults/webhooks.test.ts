import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { sharedPortProblem } from '../../src/config/shared-ports.ts';
import { waitUntil } from '../redis/wait.ts';
import { type Server, startServer } from '../server.ts';
import { publish, webhookTo, writeConfig } from '../webhooks/config.ts';
import { ReceiverServer } from '../webhooks/receiver.ts';

/** `ROUNDS=50 npx vitest run test/faults/webhooks.test.ts` is the long campaign. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 4);
const ROOMS = 6;
const workers = sharedPortProblem('uws') === undefined ? [1, 2] : [1];

/** Sends numbered messages to a room, each until it is stored. */
class Sender {
  readonly room: string;
  readonly stored: string[] = [];
  readonly #key: string;
  readonly #ended: Promise<void>;
  #stopped = false;

  constructor(room: string, key: string, url: () => string) {
    this.room = room;
    this.#key = key;
    this.#ended = this.#run(url);
  }

  /** Resolves when the last message is stored. */
  stop(): Promise<void> {
    this.#stopped = true;
    return this.#ended;
  }

  async #run(url: () => string): Promise<void> {
    for (let i = 1; !this.#stopped; i++) {
      const id = `${this.room}-${i}`;
      // A retry has the id of the first attempt, so it is stored once.
      while (
        !(await publish(url(), this.#key, this.room, id).then(
          () => true,
          () => false,
        ))
      )
        await sleep(10);
      this.stored.push(id);
      await sleep(Math.random() * 4);
    }
  }
}

/** Returns the ids of the batches that each message was in. */
function batchesByMessage({ requests }: ReceiverServer): ReadonlyMap<string, ReadonlySet<string>> {
  const batches = new Map<string, Set<string>>();
  for (const { id, body } of requests) {
    for (const { seq } of body.type === 'messages' ? body.messages : []) {
      const message = `${body.room} ${seq}`;
      batches.set(message, (batches.get(message) ?? new Set()).add(id));
    }
  }
  return batches;
}

/** Answers most requests after a while, and fails, hangs or resets some. */
function misbehave(receiver: ReceiverServer): void {
  receiver.answer = (_, response) => {
    const chance = Math.random();
    if (chance < 0.03) response.writeHead(500).end();
    else if (chance < 0.05) response.destroy();
    else if (chance < 0.06) setTimeout(() => response.end(), 1_000);
    else setTimeout(() => response.end(), Math.random() * 20);
  };
}

test.each(workers)(
  `delivers every message at least once and in order across ${ROUNDS} kills of a server with %i workers`,
  async (count) => {
    const receiver = await ReceiverServer.start();
    misbehave(receiver);
    const { flags, key } = writeConfig({ webhooks: [webhookTo(receiver.url, { timeout: 500 })] });
    const args = [...flags, '--engine', 'lmdb', '--publish-rate', 'off', '--workers', String(count)];
    let server: Server = await startServer(args);
    const senders = Array.from({ length: ROOMS }, (_, i) => new Sender(`orders:${i}`, key, () => server.url));
    try {
      for (let round = 0; round < ROUNDS; round++) {
        await sleep(300 + Math.random() * 900);
        await server.kill('SIGKILL');
        server = await startServer(args, server.port);
      }
      await Promise.all(senders.map((sender) => sender.stop()));
      receiver.answer = (_, response) => response.end();
      const isDelivered = ({ room, stored }: Sender) => (receiver.messages.get(room)?.length ?? 0) >= stored.length;
      await waitUntil('everything is delivered', () => senders.every(isDelivered), 60_000);
      expect(receiver.violations).toEqual([]);
      for (const { room, stored } of senders) {
        const delivered = receiver.messages.get(room) ?? [];
        expect(delivered.map(({ seq }) => seq)).toEqual(stored.map((_, i) => i + 1));
        expect(delivered.map(({ id }) => id)).toEqual(stored);
      }
      // The bounds of a batch that was sent are never lost: no message is in two batches.
      expect([...batchesByMessage(receiver).values()].filter(({ size }) => size > 1)).toEqual([]);
      const ids = new Set(receiver.requests.map(({ id }) => id));
      expect(receiver.requests.some(({ body }) => body.type === 'gap')).toBe(false);
      if (process.env['ROUNDS']) {
        const messages = senders.reduce((sum, { stored }) => sum + stored.length, 0);
        const repeated = receiver.requests.length - ids.size;
        console.log(
          `${ROUNDS} kills, ${count} workers: ${messages} messages in ${ids.size} batches, ${repeated} sent again`,
        );
      }
    } finally {
      await Promise.race([Promise.all(senders.map((sender) => sender.stop())), sleep(1_000)]);
      await server.kill('SIGKILL');
      receiver.close();
    }
  },
  180_000 + ROUNDS * 20_000,
);
