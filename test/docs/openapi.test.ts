import { readFileSync } from 'node:fs';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DOCUMENT, openapiText, routes } from '../../docs/openapi.ts';
import { otherPaths } from '../../docs/openapi-paths.ts';
import { problems } from '../../src/api/problem.ts';
import { API_PATH } from '../../src/api/router.ts';
import { type Answer, ApiServer, servings } from '../api/server.ts';

interface Operation {
  readonly operationId: string;
  readonly security: readonly object[];
  readonly responses: Record<
    string,
    { readonly description: string; readonly content?: Record<string, { schema?: object }> }
  >;
}

const text = readFileSync(DOCUMENT, 'utf8');
const document = JSON.parse(text) as {
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, object> };
};

const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

test('docs/openapi.json matches the routes', () => {
  expect(text, 'out of date; run npm run docs:openapi').toBe(openapiText());
});

test('docs/openapi.json is valid OpenAPI 3.1', async () => {
  const result = await new Validator().validate(structuredClone(document));
  expect(result.errors ?? []).toEqual([]);
  expect(result.valid).toBe(true);
  expect(text).toContain('"openapi": "3.1.0"');
});

test('docs/openapi.json has every route, and no other', () => {
  const described = operations.map(({ method, path }) => `${method} ${path}`);
  const served = routes.map(({ method, path }) => `${method.toLowerCase()} ${API_PATH}${path}`);
  const others = Object.entries(otherPaths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
  expect(described.toSorted()).toEqual([...served, ...others].toSorted());
});

test('the operations of docs/openapi.json have unique names, and the routes their scopes', () => {
  const names = operations.map(({ operation }) => operation.operationId);
  expect(new Set(names).size).toBe(names.length);
  for (const { method, path, scope } of routes) {
    const operation = document.paths[`${API_PATH}${path}`]?.[method.toLowerCase()];
    expect(operation?.security).toEqual([{ key: [scope] }]);
  }
});

test('docs/api.md has a section for every problem', () => {
  const page = readFileSync('docs/api.md', 'utf8');
  for (const type of Object.keys(problems)) expect(page).toContain(`| \`${type}\``);
});

const ajv = new Ajv2020({ strict: false });
ajv.addSchema({ $id: 'document', components: document.components });

/** Checks that a response is one of the described ones. */
function checkResponse(method: string, path: string, { status, headers, body, text: received }: Answer): void {
  const name = `${method} ${path} ${status}`;
  const response = document.paths[path]?.[method]?.responses[status];
  if (response === undefined) throw new Error(`${name} is not described`);
  const [type = ''] = (headers.get('content-type') ?? '').split(';');
  if (response.content === undefined) {
    expect([name, received]).toEqual([name, '']);
    return;
  }
  expect([name, Object.keys(response.content)]).toEqual([name, [type]]);
  const schema = response.content[type]?.schema;
  const value = /json/.test(type) ? body : received;
  const validate = ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"document#/components')));
  if (!validate(value)) throw new Error(`${name}: ${ajv.errorsText(validate.errors)} in ${received}`);
  // The type of a problem is one of those that the description names.
  if (type === 'application/problem+json') expect(response.description).toContain(`\`${body.type.split('#')[1]}\``);
}

describe.each(servings)('the responses of a server, served by %s', (serving) => {
  let server: ApiServer;
  beforeAll(async () => {
    server = await ApiServer.start(serving);
  });
  afterAll(() => server.stop());

  const message = { room: 'a', data: { x: [1] }, id: '1' };
  const calls: readonly [method: string, path: string, request: string, body?: unknown][] = [
    ['post', '/publish', '/publish', message],
    ['post', '/publish', '/publish', message],
    ['post', '/publish', '/publish', { room: 'a' }],
    ['post', '/publish', '/publish', { room: 'a', data: 'x'.repeat(20_000) }],
    ['post', '/broadcast', '/broadcast', { rooms: ['a', 'b'], data: 1 }],
    ['post', '/broadcast', '/broadcast', { rooms: [], data: 1 }],
    ['post', '/batch', '/batch', { messages: [message, { room: 'b', data: null }] }],
    ['post', '/batch', '/batch', 7],
    ['get', '/rooms/{room}', '/rooms/a'],
    ['get', '/rooms/{room}', '/rooms/%ff'],
    ['get', '/rooms/{room}/messages', '/rooms/a/messages?limit=1'],
    ['get', '/rooms/{room}/messages', '/rooms/a/messages?limit=x'],
    ['get', '/openapi.json', '/openapi.json'],
  ];

  test.each(calls)('match the description: %s %s at %s', async (method, path, request, body) => {
    checkResponse(method, `${API_PATH}${path}`, await server.call(request, body === undefined ? {} : { body }));
  });

  test('match the description of rejected keys', async () => {
    const reader = server.add({ scopes: ['read'] });
    for (const key of [undefined, 'x', reader]) {
      checkResponse('post', `${API_PATH}/publish`, await server.publish(message, { key }));
    }
  });

  test('match the description of other types and texts of bodies', async () => {
    for (const options of [{ text: '{' }, { text: '{}', headers: { 'content-type': 'text/plain' } }]) {
      checkResponse('post', `${API_PATH}/publish`, await server.call('/publish', options));
    }
  });

  test.each(['/livez', '/readyz', '/healthz', '/metrics'])('match the description of %s', async (path) => {
    const response = await fetch(`${server.url}${path}`);
    const answer = { status: response.status, headers: response.headers, text: await response.text(), body: undefined };
    checkResponse('get', path, answer);
  });

  test('match the description of /api/v1/address', async () => {
    for (const method of ['get', 'post'] as const) {
      const response = await fetch(`${server.url}/api/v1/address`, { method });
      const received = await response.text();
      const body = response.ok ? JSON.parse(received) : undefined;
      const { status, headers } = response;
      checkResponse('get', '/api/v1/address', { status, headers, text: received, body });
    }
  });

  test('match the description of /login', async () => {
    for (const body of ['{"username":"ann","password":"x"}', '{}']) {
      const response = await fetch(`${server.url}/login`, { method: 'POST', body });
      const received = await response.text();
      const parsed = response.ok ? JSON.parse(received) : undefined;
      checkResponse('post', '/login', {
        status: response.status,
        headers: response.headers,
        text: received,
        body: parsed,
      });
    }
  });
});
