import { once } from 'node:events';
import { createServer } from 'node:net';

// Below the ports that Linux gives to connections and to port 0: nothing else takes a port here
// between the moment it is found free and the moment a server listens on it. Fetch rejects 10080.
const FIRST = 12_000;
const LAST = 32_000;

// Processes that look for ports at once begin at different ones.
let next = FIRST + Math.floor(Math.random() * (LAST - FIRST));

/** Returns a free port of the loopback interface, which this process has not returned lately. */
export async function freePort(): Promise<number> {
  for (let tried = FIRST; tried <= LAST; tried++) {
    const port = next;
    next = next === LAST ? FIRST : next + 1;
    if (await isFree(port)) return port;
  }
  throw new Error(`all ports from ${FIRST} to ${LAST} are taken`);
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  try {
    await once(probe.listen(port, '127.0.0.1'), 'listening');
  } catch {
    return false;
  }
  await once(probe.close(), 'close');
  return true;
}
