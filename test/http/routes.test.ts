import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkHandshake } from '../../src/accept/handshake.ts';
import { createRoutes } from '../../src/http/routes.ts';
import type { HttpRequest, HttpResponse } from '../../src/transport/transport.ts';

const metrics = { contentType: 'text/plain; version=0.0.4', text: async () => 'a 1\n' };
let folder: string;
let draining = false;
let ready = true;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pumphouse-'));
  mkdirSync(join(folder, 'site', 'sub'), { recursive: true });
  writeFileSync(join(folder, 'secret.txt'), 'secret');
  writeFileSync(join(folder, 'site', 'index.html'), '<p>own page');
  writeFileSync(join(folder, 'site', 'sub', 'index.html'), '<p>below');
  writeFileSync(join(folder, 'site', 'a b.json'), '{}');
  writeFileSync(join(folder, 'site', '.env'), 'secret');
  writeFileSync(join(folder, 'site', 'strange.zzz'), '?');
  writeFileSync(join(folder, 'site', 'large.bin'), '');
  truncateSync(join(folder, 'site', 'large.bin'), 9 * 1024 * 1024);
  symlinkSync(join(folder, 'secret.txt'), join(folder, 'site', 'link.txt'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const unused = async () => ({ status: 501, headers: {}, body: '' });
const options = {
  metrics,
  draining: () => draining,
  ready: () => ready,
  origins: [],
  requires: 'nothing' as const,
  publish: unused,
  login: unused,
  loginByGet: false,
  postOnly: true,
  pageEverywhere: false,
  api: () => undefined,
  rejectPlain: (request: HttpRequest) =>
    request.path === '/ws' ? Promise.resolve(checkHandshake(request, 'gorilla') as HttpResponse) : undefined,
};

interface RequestOptions {
  readonly method?: string;
  readonly custom?: boolean;
  readonly web?: string | undefined;
}

const request = (
  path: string,
  { method = 'GET', custom = false, web = custom ? join(folder, 'site') : undefined }: RequestOptions = {},
) =>
  createRoutes({ ...options, web })({
    method,
    path,
    query: '',
    remoteAddress: '',
    body: async () => undefined,
    headers: {},
    header: () => '',
  });

describe('the routes', () => {
  test('serve the chat at /, with a content security policy', async () => {
    const { status, headers, body } = await request('/');
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    expect(headers['content-security-policy']).toContain("default-src 'none'");
    expect(String(body)).toContain('<title>Pumphouse</title>');
  });

  test('serve the files of the page under names that change with their content, cacheable forever', async () => {
    const page = String((await request('/')).body);
    const files = [...page.matchAll(/(?:src|href)="\.(\/assets\/[^"]+)"/g)].map(([, file]) => file as string);
    expect(files.map((file) => file.replace(/^.*\./, '')).sort()).toEqual(['css', 'js', 'js', 'svg']);
    for (const file of files) {
      const { status, headers } = await request(file);
      expect([status, headers['cache-control']]).toEqual([200, 'public, max-age=31536000, immutable']);
      expect(headers['content-type']).toMatch(/^(text\/(css|javascript); charset=utf-8|image\/svg\+xml)$/);
    }
  });

  const healthy = { status: 200, body: 'ok\n' };
  const shutDown = { status: 503, body: 'draining\n' };
  const unready = { status: 503, body: 'the engine is away\n' };
  test.each([
    ['/livez', healthy, healthy, healthy, healthy],
    ['/readyz', healthy, unready, shutDown, shutDown],
    ['/healthz', healthy, healthy, shutDown, shutDown],
  ])('report at %s whether the server lives, is ready, or shuts down', async (path, live, away, ...down) => {
    for (const [state, answer] of [
      [{ draining: false, ready: true }, live],
      [{ draining: false, ready: false }, away],
      [{ draining: true, ready: true }, down[0]],
      [{ draining: true, ready: false }, down[1]],
    ] as const) {
      ({ draining, ready } = state);
      for (const method of ['GET', 'HEAD']) expect(await request(path, { method })).toMatchObject(answer as object);
      expect(await request(path, { custom: true })).toMatchObject(answer as object);
    }
    ({ draining, ready } = { draining: false, ready: true });
  });

  test('serve metrics at /metrics in the content type of Prometheus', async () => {
    const { contentType } = metrics;
    expect(await request('/metrics')).toMatchObject({
      status: 200,
      headers: { 'content-type': contentType },
      body: 'a 1\n',
    });
  });

  test.each([
    ['/ws', 'GET', 400],
    ['/ws', 'POST', 405],
    ['/', 'POST', 405],
    ['/', 'DELETE', 405],
    ['/nothing', 'GET', 404],
    ['/nothing', 'POST', 404],
    ['/healthz', 'POST', 404],
    ['/livez', 'POST', 404],
    ['/readyz', 'POST', 404],
    ['constructor', 'GET', 404],
    ['', 'GET', 404],
    ['*', 'OPTIONS', 404],
  ])('answer %s with %s with %i', async (path, method, status) => {
    expect((await request(path, { method })).status).toBe(status);
  });
});

describe('a folder of files', () => {
  test('replaces the chat, without its content security policy', async () => {
    const { status, headers, body } = await request('/', { custom: true });
    expect([status, String(body), headers['content-security-policy']]).toEqual([200, '<p>own page', undefined]);
    expect((await request('/chat.js', { custom: true })).status).toBe(404);
  });

  test.each(['chat.html', 'home.html'])('may have its page in %s', async (name) => {
    const web = join(folder, name);
    mkdirSync(web);
    writeFileSync(join(web, name), 'the page');
    const { status, body } = await request('/', { web });
    expect([status, String(body)]).toEqual([200, 'the page']);
  });

  test('prefers index.html', async () => {
    const web = join(folder, 'several');
    mkdirSync(web);
    for (const name of ['home.html', 'chat.html', 'index.html']) writeFileSync(join(web, name), name);
    expect(String((await request('/', { web })).body)).toBe('index.html');
  });

  test.each([
    ['/a%20b.json', 'application/json'],
    ['/sub/', 'text/html; charset=utf-8'],
    ['/strange.zzz', 'application/octet-stream'],
  ])('serves %s as %s', async (path, type) => {
    expect(await request(path, { custom: true })).toMatchObject({ status: 200, headers: { 'content-type': type } });
  });

  test.each([
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/sub/../../secret.txt',
    '/..%5csecret.txt',
    '//etc/passwd',
    '/link.txt',
    '/.env',
    '/sub',
    '/a%00b',
    '/%zz',
    '/C:/x',
    '/large.bin',
    `/${'x'.repeat(5000)}`,
  ])('does not serve %s', async (path) => {
    expect((await request(path, { custom: true })).status).toBe(404);
  });
});
