import { type AddressInfo, createServer } from 'node:net';

/**
 * Resolves with the port if it is free, or with a free one for port 0. Rejects with Node's `code`,
 * such as EADDRINUSE.
 *
 * uWebSockets.js would share a taken port with its holder, and gives no reason when it cannot
 * listen. A port that it picks for 0 cannot be shared with the app of the next certificate.
 */
export function findFreePort(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      const { port: free } = server.address() as AddressInfo;
      server.close(() => resolve(free));
    });
  });
}
