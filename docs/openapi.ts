// Writes docs/openapi.json from the routes of the Server API: npm run docs:openapi
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { toJsonSchema } from '@valibot/to-json-schema';
import * as v from 'valibot';
import type { problems } from '../src/api/problem.ts';
import type { AnyRoute } from '../src/api/route.ts';
import { API_PATH } from '../src/api/router.ts';
import { apiRoutes, type ServerApi } from '../src/api/routes.ts';
import { problemDetails, room, user } from '../src/api/schemas.ts';
import { otherPaths, otherSchemas } from './openapi-paths.ts';

export const DOCUMENT = 'docs/openapi.json';

type JsonObject = Record<string, unknown>;
type Problem = readonly [status: number, type: keyof typeof problems, description: string];

/** The routes, which are only described: nothing calls their handlers. */
export const routes = apiRoutes({} as ServerApi);

/** Returns the document as the file has it. */
export function openapiText(): string {
  return `${JSON.stringify(document(), null, 2)}\n`;
}

function document(): JsonObject {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Pumphouse',
      version: '1',
      summary: 'The HTTP side of Pumphouse: the Server API for programs, the endpoints of clients, and probes.',
      description:
        'Programs call the paths of the tag `Server API` with a key that `pumphouse key add` prints. The other paths are for clients and for operators. Clients usually connect with a WebSocket at `/ws`, which PROTOCOL.md specifies.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The server that serves this document.' }],
    tags: [
      { name: 'Server API', description: 'For the programs of a backend.' },
      { name: 'Clients', description: 'For clients, which authenticate as at the WebSocket.' },
      { name: 'Operation', description: 'For probes, monitoring and tools.' },
    ],
    paths: { ...routePaths(), ...otherPaths },
    components: {
      schemas: { Problem: schemaOf(problemDetails), ...otherSchemas },
      securitySchemes: {
        key: {
          type: 'http',
          scheme: 'bearer',
          description: 'A key of `pumphouse key add`. Each operation names the scope that it needs.',
        },
        token: { type: 'http', scheme: 'bearer', description: 'With `--auth jwt`: the token of a user.' },
        session: {
          type: 'apiKey',
          in: 'header',
          name: 'Authorization',
          description: '`Session SECRET`, with the secret `resume` of a `welcome`.',
        },
      },
    },
  };
}

function routePaths(): JsonObject {
  const paths: Record<string, JsonObject> = {};
  for (const route of routes) {
    const path = `${API_PATH}${route.path}`;
    paths[path] ??= {};
    paths[path][route.method.toLowerCase()] = operationOf(route);
  }
  return paths;
}

function operationOf(route: AnyRoute): JsonObject {
  const { doc, scope, body } = route;
  const parameters = parametersOf(route);
  return {
    operationId: doc.id,
    summary: doc.summary,
    description: doc.description,
    tags: ['Server API'],
    security: [{ key: [scope] }],
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: {
        required: body.type !== 'optional',
        content: { 'application/json': { schema: schemaOf(body) } },
      },
    }),
    responses: responsesOf(route),
  };
}

const PATH_SCHEMAS: Readonly<Record<string, v.GenericSchema>> = { room, user };

function parametersOf({ path, parameters }: AnyRoute): JsonObject[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => {
    const { description, ...schema } = schemaOf(PATH_SCHEMAS[name] ?? v.pipe(v.string(), v.minLength(1)));
    return { name, in: 'path', required: true, ...(description !== undefined && { description }), schema };
  });
  if (parameters === undefined) return inPath;
  const { properties = {}, required = [] } = schemaOf(parameters) as {
    properties?: Record<string, JsonObject>;
    required?: string[];
  };
  const inQuery = Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    ...(required.includes(name) && { required: true }),
    ...(description !== undefined && { description }),
    schema,
  }));
  return [...inPath, ...inQuery];
}

function responsesOf(route: AnyRoute): JsonObject {
  const { status = 200, description, schema } = route.doc.success;
  const responses: Record<string, JsonObject> = {
    [status]: { description, ...(schema && { content: { 'application/json': { schema: schemaOf(schema) } } }) },
  };
  const all = [...routerProblems(route), ...(route.doc.problems ?? [])];
  const statuses = [...new Set(all.map(([each]) => each))].toSorted((a, b) => a - b);
  for (const each of statuses) responses[each] = problemResponse(all.filter(([other]) => other === each));
  return responses;
}

function problemResponse(cases: readonly Problem[]): JsonObject {
  const [[status] = [0]] = cases;
  const retry = { 'Retry-After': { description: 'Seconds to wait before a retry.', schema: { type: 'string' } } };
  const headers = status === 429 || status === 503 ? { headers: retry } : {};
  return {
    description: cases.map(([, type, text]) => `\`${type}\`: ${text}`).join('\n\n'),
    ...headers,
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  };
}

/** The problems that the router answers before it calls the route. */
function routerProblems({ path, body, parameters, scope }: AnyRoute): Problem[] {
  const inPath: Problem[] = path.includes('{') ? [[400, 'invalid-path', 'The path has an invalid name.']] : [];
  const inQuery: Problem[] = parameters ? [[400, 'invalid-query', 'A parameter is unknown, repeated or invalid.']] : [];
  const inBody: Problem[] = body
    ? [
        [400, 'invalid-json', 'The body is not JSON in UTF-8.'],
        [400, 'invalid-field', 'A field is missing, unknown or invalid.'],
        [408, 'timeout', 'The body did not arrive in time.'],
        [413, 'too-large', 'The body is too long.'],
        [415, 'unsupported-media-type', 'The Content-Type is not `application/json`.'],
      ]
    : [];
  return [
    ...inPath,
    ...inQuery,
    ...inBody,
    [401, 'unauthorized', 'The key is missing or not valid.'],
    [403, 'forbidden', `The key lacks the scope \`${scope}\`, or does not allow the room.`],
    [429, 'too-many-requests', 'The address has sent too many keys that are not valid.'],
    [503, 'draining', 'The server is shutting down.'],
  ];
}

/** Byte limits become limits of characters, which are weaker: JSON Schema has no others. */
function schemaOf(schema: v.GenericSchema): JsonObject {
  const { $schema: _, ...converted } = toJsonSchema(schema, {
    target: 'draft-2020-12',
    typeMode: 'input',
    ignoreActions: ['check', 'transform'],
    overrideSchema: ({ valibotSchema }) => {
      const { integer } = v.getMetadata(valibotSchema as v.GenericSchema);
      if (integer !== undefined) return { type: 'integer', ...integer, ...described(valibotSchema as v.GenericSchema) };
      return valibotSchema.type === 'custom' ? {} : undefined;
    },
    overrideAction: ({ valibotAction, jsonSchema }) => {
      if (valibotAction.type === 'max_bytes') {
        return { ...jsonSchema, maxLength: (valibotAction as unknown as { requirement: number }).requirement };
      }
      return valibotAction.type === 'safe_integer' ? { ...jsonSchema, type: 'integer' } : undefined;
    },
  }) as JsonObject;
  return converted;
}

function described(schema: v.GenericSchema): JsonObject {
  const description = v.getDescription(schema);
  return description === undefined ? {} : { description };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeFileSync(DOCUMENT, openapiText());
