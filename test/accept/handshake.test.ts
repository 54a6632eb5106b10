import { expect, test } from 'vitest';
import { checkHandshake } from '../../src/accept/handshake.ts';

const valid: Record<string, string> = {
  host: 'chat.example:8080',
  connection: 'keep-alive, Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'MDEyMzQ1Njc4OWFiY2RlZg==',
};

const statusOf = (headers: Record<string, string>, method = 'GET') => rejectionOf(headers, method, 'gorilla')?.status;

const rejectionOf = (headers: Record<string, string>, method: string, library: 'gorilla' | 'coder') =>
  checkHandshake(
    {
      method,
      path: '/ws',
      query: '',
      remoteAddress: '',
      headers: {},
      body: async () => undefined,
      header: (name) => ({ ...valid, ...headers })[name] ?? '',
    },
    library,
  );

test.each([
  [{}],
  [{ connection: 'UPGRADE', upgrade: 'WebSocket' }],
  [{ origin: 'http://chat.example:8080' }],
  [{ origin: 'HTTP://CHAT.example:8080' }],
  [{ origin: 'http://chat.example', host: 'chat.example' }],
  [{ origin: 'https://chat.example', host: 'chat.example:443' }],
  [{ origin: 'http://chat.example:80', host: 'chat.example' }],
  [{ origin: 'http://[::1]:8080', host: '[::1]:8080' }],
])('accepts %j', (headers) => {
  expect(statusOf(headers)).toBeUndefined();
});

test.each([
  [{ connection: 'keep-alive' }, 400],
  [{ connection: '' }, 400],
  [{ upgrade: '' }, 400],
  [{ upgrade: 'h2c' }, 400],
  [{ 'sec-websocket-version': '8' }, 400],
  [{ 'sec-websocket-version': '' }, 400],
  [{ 'sec-websocket-key': '' }, 400],
  [{ 'sec-websocket-key': 'short' }, 400],
  [{ 'sec-websocket-key': `${'A'.repeat(44)}` }, 400],
  [{ origin: 'http://evil.example' }, 403],
  [{ origin: 'http://chat.example' }, 403],
  [{ origin: 'http://chat.example:8080.evil.example' }, 403],
  [{ origin: 'null' }, 403],
  [{ origin: 'not a url' }, 403],
  [{ origin: 'http://chat.example:8080', host: '' }, 403],
])('rejects %j with %i', (headers, status) => {
  expect(statusOf(headers)).toBe(status);
});

test('rejects another method with 405', () => {
  expect(statusOf({}, 'POST')).toBe(405);
});
