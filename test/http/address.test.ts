import { createServer, type ServerOptions } from 'pumphouse';
import { describe, expect, onTestFinished, test } from 'vitest';

describe.each(['uws', 'ws'] as const)('GET /api/v1/address on %s', (transport) => {
  const start = async (options: ServerOptions = {}): Promise<string> => {
    const server = await createServer({ port: 0, transport, ...options });
    onTestFinished(() => server.stop());
    return `${server.url}/api/v1/address`;
  };
  const forwarded = { 'x-forwarded-for': '203.0.113.9' };

  test("returns the connection's address, whatever the client writes into X-Forwarded-For", async () => {
    const url = await start();
    const [plain, forged] = await Promise.all([fetch(url), fetch(url, { headers: forwarded })]);
    expect(plain.headers.get('cache-control')).toBe('no-store');
    expect(await plain.json()).toEqual({ address: '127.0.0.1', trustedProxy: false, forwarded: false });
    expect(await forged.json()).toEqual({ address: '127.0.0.1', trustedProxy: false, forwarded: true });
  });

  test('returns the forwarded address behind a trusted proxy', async () => {
    const url = await start({ trustProxy: ['127.0.0.1'] });
    const [plain, proxied] = await Promise.all([fetch(url), fetch(url, { headers: forwarded })]);
    expect(await plain.json()).toEqual({ address: '127.0.0.1', trustedProxy: true, forwarded: false });
    expect(await proxied.json()).toEqual({ address: '203.0.113.9', trustedProxy: true, forwarded: true });
  });

  test('lets no page of another origin read it, and allows GET and HEAD only', async () => {
    const url = await start();
    const { headers } = await fetch(url, { headers: { origin: 'https://other.example' } });
    expect(headers.get('access-control-allow-origin')).toBeNull();
    expect((await fetch(url, { method: 'HEAD' })).status).toBe(200);
    const posted = await fetch(url, { method: 'POST' });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });
});
