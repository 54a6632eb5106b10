// The thread of a canary. It has an event loop of its own, so it measures that of the server from
// outside.
import { randomUUID } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { canaryToken } from '../auth/canary.ts';
import { CanaryClient } from './canary-client.ts';
import type { CanaryReport, CanaryStart } from './messages.ts';
import { CanaryCounter } from './readings.ts';
import { loadSdk } from './sdk.ts';

// Each client sends a message in each period, in milliseconds.
const PERIOD_MS = 1_000;

// A close frame takes a moment to leave.
const EXIT_MS = 200;

const { clients: count, url, room, key, memory, certificate } = workerData as CanaryStart;
const port = parentPort as NonNullable<typeof parentPort>;
const counter = new CanaryCounter(memory);
const report = (state: CanaryReport) => port.postMessage(state);

const connect = await loadSdk().catch((error: Error) => {
  throw new Error(`the client library cannot be loaded; build it with npm run build:sdk: ${error.message}`);
});
const run = randomUUID();
const clients: CanaryClient[] = [];
for (let number = 1; number <= count; number++) {
  const user = `canary-${number}`;
  const client = new CanaryClient({
    connect,
    url,
    user,
    room,
    run,
    token: () => canaryToken(key, { user, room }),
    certificate,
    counter,
    onMembership,
    onFailure: (why) => report({ kind: 'down', why }),
  });
  clients.push(client);
  // The messages of several clients are spread over the period.
  setTimeout(() => setInterval(() => client.beat(), PERIOD_MS), (PERIOD_MS * number) / count);
}

port.on('message', () => {
  for (const client of clients) client.close();
  setTimeout(() => process.exit(), EXIT_MS);
});

function onMembership(): void {
  const members = clients.filter(({ isMember }) => isMember).length;
  counter.setConnected(members);
  if (members === count) report({ kind: 'up' });
}
