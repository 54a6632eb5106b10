// The paths of docs/openapi.json beside the routes of the Server API.

const text = (description: string) => ({
  description,
  content: { 'text/plain': { schema: { type: 'string' } } },
});

const retryAfter = {
  headers: { 'Retry-After': { description: 'Seconds to wait before a retry.', schema: { type: 'string' } } },
};

const failures = {
  401: { description: 'The credentials are missing or wrong. No body.' },
  403: text('A page of another origin, or a client that may not do this.'),
  429: { ...text('Too many requests of this address.'), ...retryAfter },
  503: { ...text('The server is busy, shuts down, or does not reach its store.'), ...retryAfter },
};

const roomInPath = {
  name: 'room',
  in: 'path',
  required: true,
  description: 'A room.',
  schema: { type: 'string', minLength: 1, maxLength: 128 },
};

const credentials = [{}, { token: [] }];
const credentialsInQuery = [
  { name: 'token', in: 'query', description: 'With `--auth jwt`: the token of a user.', schema: { type: 'string' } },
  { name: 'otp', in: 'query', description: 'With `--auth otp`: the ticket of `/login`.', schema: { type: 'string' } },
];

const eventStream = (description: string) => ({
  description,
  content: { 'text/event-stream': { schema: { type: 'string' } } },
});

const probe = (operationId: string, summary: string, ok: string, failed?: string) => ({
  get: {
    operationId,
    summary,
    tags: ['Operation'],
    security: [],
    responses: { 200: text(ok), ...(failed && { 503: text(failed) }) },
  },
});

export const otherSchemas = {
  ClientMessage: {
    description: 'A message of a client in `pumphouse.v1`, as PROTOCOL.md specifies it.',
    type: 'object',
    required: ['t'],
    properties: {
      t: { type: 'string', enum: ['join', 'leave', 'send', 'signal', 'history', 'ack', 'ping', 'auth'] },
    },
  },
};

const description = {
  get: {
    operationId: 'getDescription',
    summary: 'Read this document',
    tags: ['Operation'],
    security: [],
    responses: {
      200: { description: 'The document.', content: { 'application/json': { schema: { type: 'object' } } } },
    },
  },
};

const address = {
  get: {
    operationId: 'getAddress',
    summary: 'Read the address that the server sees',
    description:
      "The client's address, by which the server limits it and logs it. `pumphouse doctor` compares it with its own. Nothing is about other clients.",
    tags: ['Operation'],
    security: [],
    responses: {
      200: {
        description: 'The address, and how the server found it.',
        content: {
          'application/json': {
            schema: {
              type: 'object',
              required: ['address', 'trustedProxy', 'forwarded'],
              properties: {
                address: { type: 'string', description: "The client's address." },
                trustedProxy: {
                  type: 'boolean',
                  description: 'Whether the connection is from a proxy of `--trust-proxy`.',
                },
                forwarded: { type: 'boolean', description: 'Whether the request has the header `X-Forwarded-For`.' },
              },
            },
          },
        },
      },
      405: text('The method is neither GET nor HEAD.'),
    },
  },
};

const roomEvents = {
  get: {
    operationId: 'followRoom',
    summary: 'Follow a room with EventSource',
    description:
      'Each message is an event with the id `EPOCH:SEQ` and the message of `pumphouse.v1` as its data. The named events `joined`, `gap`, `presence`, `signal`, `error` and `drain` report the rest.',
    tags: ['Clients'],
    security: credentials,
    parameters: [
      roomInPath,
      ...credentialsInQuery,
      {
        name: 'after',
        in: 'query',
        description: 'Recovers the messages after a place: `EPOCH:SEQ`. `Last-Event-ID` does so, too.',
        schema: { type: 'string' },
      },
      {
        name: 'history',
        in: 'query',
        description: 'How many of the newest messages to begin with.',
        schema: { type: 'integer', minimum: 0, maximum: 1000 },
      },
      {
        name: 'Last-Event-ID',
        in: 'header',
        description: 'Sent by EventSource when it reconnects.',
        schema: { type: 'string' },
      },
    ],
    responses: { 200: eventStream('The events, until either side ends the connection.'), ...failures },
  },
};

const sessionEvents = {
  post: {
    operationId: 'openSession',
    summary: 'Open a session over HTTP',
    description:
      'The stream of a client that cannot use WebSockets. The body is lines of client messages of `pumphouse.v1`, which run as if a WebSocket had sent them. The data of the events are lines of server messages.',
    tags: ['Clients'],
    security: [{}, { token: [] }, { session: [] }],
    parameters: [
      ...credentialsInQuery,
      { name: 'user', in: 'query', description: 'The name of the client.', schema: { type: 'string' } },
      { name: 'room', in: 'query', description: 'A room to join.', schema: { type: 'string' } },
    ],
    requestBody: { content: { 'text/plain': { schema: { type: 'string' } } } },
    responses: {
      200: eventStream('The server messages. The last event is `close`, with the code and the reason of the close.'),
      ...failures,
    },
  },
};

const session = {
  post: {
    operationId: 'sendInSession',
    summary: 'Send a message in a session',
    description:
      'One of `send`, `signal`, `history`, `ack` and `ping`. The answers are lines of server messages, each a JSON object.',
    tags: ['Clients'],
    security: [{ session: [] }],
    requestBody: {
      required: true,
      content: { 'application/json': { schema: { $ref: '#/components/schemas/ClientMessage' } } },
    },
    responses: { 200: { description: 'The answers.', content: { 'application/x-ndjson': {} } }, ...failures },
  },
};

const login = {
  post: {
    operationId: 'signIn',
    summary: 'Get a ticket for one handshake',
    tags: ['Clients'],
    security: [],
    requestBody: {
      required: true,
      content: {
        'application/json': {
          schema: {
            type: 'object',
            required: ['username', 'password'],
            properties: { username: { type: 'string' }, password: { type: 'string' } },
          },
        },
      },
    },
    responses: {
      200: {
        description: 'The ticket, which is valid for some seconds.',
        content: {
          'application/json': {
            schema: { type: 'object', required: ['otp'], properties: { otp: { type: 'string' } } },
          },
        },
      },
      400: text('The body is not JSON with a name and a password.'),
      413: text('The body is too long.'),
      ...failures,
    },
  },
};

const publish = {
  post: {
    operationId: 'post',
    summary: 'Publish a message as a client',
    description:
      'For the pages of the Go chats at `/subscribe`. The format of the body depends on the wire of the listener. Programs publish with a key at `/api/v1/publish`.',
    tags: ['Clients'],
    security: credentials,
    parameters: credentialsInQuery,
    requestBody: { required: true, content: { 'text/plain': { schema: { type: 'string' } }, 'application/json': {} } },
    responses: {
      202: { description: 'The message is stored. No body.' },
      204: { description: 'The message is stored. No body.' },
      400: text('The body is not a message.'),
      413: text('The body is too long.'),
      ...failures,
    },
  },
};

export const otherPaths = {
  '/api/v1/address': address,
  '/api/v1/openapi.json': description,
  '/api/v1/rooms/{room}/events': roomEvents,
  '/api/v1/session': session,
  '/api/v1/session/events': sessionEvents,
  '/login': login,
  '/publish': publish,
  '/livez': probe('isAlive', 'Probe whether the process works', 'It does.'),
  '/readyz': probe(
    'isReady',
    'Probe whether the server can serve',
    'It does.',
    'The server shuts down, or its engine does not reach its store.',
  ),
  '/healthz': probe(
    'isHealthy',
    'Probe whether the server accepts connections',
    'It does.',
    'The server is shutting down.',
  ),
  '/metrics': {
    get: {
      operationId: 'getMetrics',
      summary: "Read the metrics, in Prometheus's text format",
      tags: ['Operation'],
      security: [],
      responses: { 200: text('The metrics.') },
    },
  },
};
