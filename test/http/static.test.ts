import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createRoutes } from '../../src/http/routes.ts';
import { transports } from '../integration/server.ts';
import { type Served, serve } from '../transport/harness.ts';

const unused = async () => ({ status: 501, headers: {}, body: '' });
const options = {
  metrics: { contentType: 'text/plain', text: async () => '' },
  draining: () => false,
  ready: () => true,
  origins: [],
  requires: 'nothing' as const,
  publish: unused,
  login: unused,
  loginByGet: false,
  postOnly: true,
  pageEverywhere: false,
  api: () => undefined,
  rejectPlain: () => undefined,
};

const script = 'console.log("hello");\n'.repeat(100);
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pumphouse-'));
  const site = join(folder, 'site');
  mkdirSync(join(site, 'folder.js.br'), { recursive: true });
  writeFileSync(join(site, 'index.html'), '<p>host {{.Host}}');
  writeFileSync(join(site, 'index.html.br'), brotliCompressSync('<p>host {{.Host}}'));
  writeFileSync(join(site, 'other.html'), '<p>no field {{Host}}');
  writeFileSync(join(site, 'other.html.br'), brotliCompressSync('<p>no field {{Host}}'));
  writeFileSync(join(site, 'field.txt'), '{{.Host}}');
  writeFileSync(join(site, 'app.js'), script);
  writeFileSync(join(site, 'app.js.br'), brotliCompressSync(script));
  writeFileSync(join(site, 'app.js.gz'), gzipSync(script));
  writeFileSync(join(site, 'only.css'), 'p {}');
  writeFileSync(join(site, 'only.css.gz'), gzipSync('p {}'));
  writeFileSync(join(site, 'plain.txt'), 'plain');
  writeFileSync(join(site, 'gone.js.br'), brotliCompressSync(script));
  writeFileSync(join(site, 'folder.js'), script);
  writeFileSync(join(site, 'folder.js.gz'), '');
  truncateSync(join(site, 'folder.js.gz'), 9 * 1024 * 1024);
  writeFileSync(join(folder, 'secret.br'), 'secret');
  writeFileSync(join(site, 'linked.js'), script);
  symlinkSync(join(folder, 'secret.br'), join(site, 'linked.js.br'));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Sends a request without the headers that fetch adds, and does not decode the body. */
function send(port: number, path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ port, host: '127.0.0.1', path, headers, method }, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) });
    });
    outgoing.on('error', reject).end();
  });
}

describe.each(transports)('on the transport %s', (name) => {
  let served: Served | undefined;
  afterEach(() => served?.transport.terminate());

  const start = async ({ custom = false, pageEverywhere = false } = {}) => {
    const web = custom ? join(folder, 'site') : undefined;
    served = await serve(name, { handle: createRoutes({ ...options, web, pageEverywhere }) });
    const { port } = served;
    return (path: string, headers?: Record<string, string>, method?: string) => send(port, path, headers, method);
  };

  test('the page and its files are compressed as the client accepts', async () => {
    const get = await start();
    const page = await get('/');
    const files = [...String(page.body).matchAll(/"\.(\/assets\/[^"]+)"/g)].map(([, file]) => file as string);
    expect(files).toHaveLength(4);
    for (const path of ['/', ...files]) {
      const plain = await get(path);
      expect(plain.headers).toMatchObject({ vary: 'Accept-Encoding' });
      expect(plain.headers['content-encoding']).toBeUndefined();
      const decoders = { br: brotliDecompressSync, gzip: gunzipSync };
      const tags = new Set([plain.headers.etag]);
      for (const [encoding, decode] of Object.entries(decoders)) {
        const { status, headers, body } = await get(path, { 'accept-encoding': encoding });
        expect(status).toBe(200);
        expect(headers).toMatchObject({
          'content-encoding': encoding,
          'content-type': plain.headers['content-type'],
          'cache-control': plain.headers['cache-control'],
          'content-length': `${body.length}`,
          vary: 'Accept-Encoding',
        });
        expect(body.length).toBeLessThan(plain.body.length);
        expect(decode(body)).toEqual(plain.body);
        tags.add(headers.etag);
      }
      expect(tags.size).toBe(3);
    }
  });

  test('only names with a hash are immutable', async () => {
    const get = await start();
    const page = await get('/', { 'accept-encoding': 'br' });
    expect(page.headers['cache-control']).toBe('no-cache');
    const file = /"\.(\/assets\/[^"]+\.js)"/.exec(String(brotliDecompressSync(page.body)))?.[1] as string;
    const { headers } = await get(file, { 'accept-encoding': 'br' });
    expect(headers['cache-control']).toBe('public, max-age=31536000, immutable');
  });

  test('a request for content that the client has is answered with 304 and no body', async () => {
    const get = await start({ custom: true });
    const accept = { 'accept-encoding': 'br' };
    const { headers } = await get('/app.js', accept);
    const etag = headers.etag as string;
    expect(etag).toMatch(/^"[\w-]{22}-br"$/);
    for (const tags of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      for (const method of ['GET', 'HEAD']) {
        const unchanged = await get('/app.js', { ...accept, 'if-none-match': tags }, method);
        expect([unchanged.status, unchanged.body.length]).toEqual([304, 0]);
        expect(unchanged.headers).toMatchObject({ etag, vary: 'Accept-Encoding', 'cache-control': 'no-cache' });
        expect(unchanged.headers['content-length']).toBeUndefined();
        expect(unchanged.headers['content-type']).toBeUndefined();
      }
    }
    for (const tags of ['"x"', etag.slice(1, -1), '']) {
      expect((await get('/app.js', { ...accept, 'if-none-match': tags })).status).toBe(200);
    }
    expect((await get('/app.js', { 'if-none-match': etag })).status).toBe(200); // the tag of another encoding
    expect((await get('/app.js', { ...accept, 'if-none-match': etag }, 'POST')).status).toBe(405);
    expect((await get('/app.js', accept)).status).toBe(200); // the connection is still in order
  });

  test('HEAD has the headers of GET and no body', async () => {
    const get = await start({ custom: true });
    for (const accept of ['', 'br', 'gzip']) {
      const whole = await get('/app.js', { 'accept-encoding': accept });
      const head = await get('/app.js', { 'accept-encoding': accept }, 'HEAD');
      expect([head.status, head.body.length]).toEqual([200, 0]);
      expect({ ...head.headers, date: '' }).toEqual({ ...whole.headers, date: '' });
    }
    expect((await get('/nothing.js', {}, 'HEAD')).status).toBe(404);
  });

  test('a folder serves the compressed siblings of a file', async () => {
    const get = await start({ custom: true });
    const encodingOf = async (path: string, accept: string) =>
      (await get(path, { 'accept-encoding': accept })).headers['content-encoding'];
    expect(await encodingOf('/app.js', 'gzip, br')).toBe('br');
    expect(await encodingOf('/app.js', 'gzip, br;q=0')).toBe('gzip');
    expect(await encodingOf('/app.js', 'deflate')).toBeUndefined();
    expect(await encodingOf('/only.css', 'br, gzip;q=0.1')).toBe('gzip');
    expect(brotliDecompressSync((await get('/app.js', { 'accept-encoding': 'br' })).body).toString()).toBe(script);
    const plain = await get('/plain.txt', { 'accept-encoding': 'br, gzip' });
    expect([plain.headers['content-encoding'], plain.headers.vary]).toEqual([undefined, undefined]);
    expect(plain.headers.etag).toMatch(/^"[\w-]{22}"$/);
  });

  test('a folder, a file that is too large, and a link that leads outside are no siblings', async () => {
    const get = await start({ custom: true });
    for (const path of ['/folder.js', '/linked.js']) {
      const { status, headers, body } = await get(path, { 'accept-encoding': 'br, gzip' });
      expect([status, headers['content-encoding'], String(body)]).toEqual([200, undefined, script]);
    }
    expect((await get('/gone.js', { 'accept-encoding': 'br' })).status).toBe(404);
  });

  test('a client that accepts no available encoding gets 406', async () => {
    const get = await start({ custom: true });
    const { status, headers } = await get('/app.js', { 'accept-encoding': 'identity;q=0, deflate' });
    expect([status, headers.vary]).toEqual([406, 'Accept-Encoding']);
    expect((await get('/plain.txt', { 'accept-encoding': 'br, *;q=0' })).status).toBe(406);
  });

  test('the ETag changes with the content, not with the time', async () => {
    const get = await start({ custom: true });
    const file = join(folder, 'site', `changing-${name}.txt`);
    const old = new Date(Date.now() - 3_600_000);
    const tagAfter = async (content: string) => {
      writeFileSync(file, content);
      utimesSync(file, old, old);
      return (await get(`/changing-${name}.txt`)).headers.etag;
    };
    const first = await tagAfter('one');
    expect(await tagAfter('two')).not.toBe(first);
    expect(await tagAfter('one')).toBe(first);
  });

  test('a template is sent uncompressed, with an ETag of the filled page', async () => {
    const get = await start({ custom: true });
    const at = (host: string) => get('/', { host, 'accept-encoding': 'br' });
    const [one, two] = [await at('one.example'), await at('two.example')];
    expect([String(one.body), String(two.body)]).toEqual(['<p>host one.example', '<p>host two.example']);
    expect(one.headers.etag).not.toBe(two.headers.etag);
    expect((await get('/', { host: 'one.example', 'if-none-match': one.headers.etag as string })).status).toBe(304);
    expect((await get('/', { host: 'two.example', 'if-none-match': one.headers.etag as string })).status).toBe(200);
    expect(one.headers['content-encoding']).toBeUndefined();
  });

  test('only HTML with {{.Host}} is a template', async () => {
    const get = await start({ custom: true });
    const other = await get('/other.html', { host: 'one.example', 'accept-encoding': 'br' });
    expect(other.headers['content-encoding']).toBe('br');
    expect(brotliDecompressSync(other.body).toString()).toBe('<p>no field {{Host}}');
    expect(String((await get('/field.txt', { host: 'one.example' })).body)).toBe('{{.Host}}');
    expect(String((await get('/index.html', { host: '"><script>' })).body)).toBe('<p>host script');
  });
});
