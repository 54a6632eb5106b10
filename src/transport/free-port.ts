import { type AddressInfo, createServer } from 'node:net';

/** A port that no other process can take until it is released. */
export interface HeldPort {
  readonly port: number;
  release(): Promise<void>;
}

/**
 * Resolves with the port if it is free, or with a free one for port 0, and holds it. Rejects with
 * Node's `code`, such as EADDRINUSE.
 */
export function holdPort(host: string, port: number): Promise<HeldPort> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      const { port: free } = server.address() as AddressInfo;
      resolve({ port: free, release: () => new Promise((released) => void server.close(() => released())) });
    });
  });
}

/**
 * Resolves with the port if it is free, or with a free one for port 0. Rejects as `holdPort` does.
 *
 * uWebSockets.js would share a taken port with its holder, and gives no reason when it cannot
 * listen. A port that it picks for 0 cannot be shared with the app of the next certificate.
 */
export async function findFreePort(host: string, port: number): Promise<number> {
  const held = await holdPort(host, port);
  await held.release();
  return held.port;
}
