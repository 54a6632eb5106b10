import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { createServer } from 'pumphouse';
import { expect, onTestFinished, test, vi } from 'vitest';
import { findFreePort } from '../../src/transport/free-port.ts';
import { transports } from '../workers/variants.ts';

vi.mock('../../src/transport/free-port.ts', { spy: true });

const withUws = test.runIf(transports.includes('uws'));

async function takenPort(): Promise<number> {
  const holder = createTcpServer().listen(0, '127.0.0.1');
  onTestFinished(() => void holder.close());
  await once(holder, 'listening');
  return (holder.address() as AddressInfo).port;
}

withUws('listens on another port if one that was found free for port 0 has been taken', async () => {
  const taken = await takenPort();
  vi.mocked(findFreePort).mockResolvedValueOnce(taken).mockResolvedValueOnce(taken);
  const server = await createServer({ host: '127.0.0.1', port: 0, transport: 'uws' });
  onTestFinished(() => server.stop());
  expect(server.port).not.toBe(taken);
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
});

withUws('gives up when each port that was found free has been taken', async () => {
  vi.mocked(findFreePort).mockResolvedValue(await takenPort());
  onTestFinished(() => void vi.mocked(findFreePort).mockReset());
  await expect(createServer({ host: '127.0.0.1', port: 0, transport: 'uws' })).rejects.toThrow('cannot listen on');
});
