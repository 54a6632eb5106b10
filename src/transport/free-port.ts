import { type AddressInfo, createServer } from 'node:net';

/**
 * uWebSockets.js shares a taken port with its holder, and says only "no" where it cannot listen: a socket of Node's own asks
 * first, and fails with the reason. A port of its choice would be one that cannot be shared, so that is found here too.
 *
 * @returns the port.
 */
export function probe(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => {
      const { port: free } = server.address() as AddressInfo;
      server.close(() => resolve(free));
    });
  });
}
