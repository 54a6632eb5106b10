import { describe, expect, test } from 'vitest';
import { answerPreflight, corsHeaders } from '../../src/http/cors.ts';
import type { HttpRequest } from '../../src/transport/transport.ts';

const origins = ['https://chat.example', 'https://*.team.example'];

const requestOf = (method: string, headers: Record<string, string>): HttpRequest => ({
  method,
  path: '/api/v1/session',
  query: '',
  remoteAddress: '',
  headers,
  body: async () => undefined,
  header: (name) => ({ host: 'hub.example', ...headers })[name] ?? '',
});

describe('the CORS headers', () => {
  test.each(['https://chat.example', 'https://a.team.example', 'https://hub.example'])(
    'let a page of %s read the response',
    (origin) => {
      expect(corsHeaders(requestOf('POST', { origin }), origins)).toEqual({
        vary: 'Origin',
        'access-control-allow-origin': origin,
        'access-control-allow-credentials': 'true',
        'access-control-expose-headers': 'Retry-After',
      });
    },
  );

  test.each(['https://evil.example', 'null', 'https://chat.example.evil.example', ''])('allow %j nothing', (origin) => {
    expect(corsHeaders(requestOf('POST', { origin }), origins)).toEqual({ vary: 'Origin' });
  });
});

describe('a preflight', () => {
  test('allows the method and the headers of the endpoint to an allowed origin', () => {
    const response = answerPreflight(requestOf('OPTIONS', { origin: 'https://chat.example' }), origins, 'POST');
    expect(response).toMatchObject({
      status: 204,
      body: '',
      headers: {
        'access-control-allow-origin': 'https://chat.example',
        'access-control-allow-methods': 'POST',
        'access-control-allow-headers': 'authorization, content-type, last-event-id, pumphouse-session',
        'access-control-max-age': '7200',
      },
    });
  });

  test('is rejected without CORS headers for another origin', () => {
    const response = answerPreflight(requestOf('OPTIONS', { origin: 'https://evil.example' }), origins, 'POST');
    expect(response?.status).toBe(403);
    expect(Object.keys(response?.headers ?? {}).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  test('of a program without an origin names the methods only', () => {
    const response = answerPreflight(requestOf('OPTIONS', {}), origins, 'POST');
    expect(response).toEqual({ status: 204, headers: { allow: 'OPTIONS, POST', vary: 'Origin' }, body: '' });
  });

  test('leaves other methods to the endpoint', () => {
    expect(answerPreflight(requestOf('POST', { origin: 'https://chat.example' }), origins, 'POST')).toBeUndefined();
  });
});
