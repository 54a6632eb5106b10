// The folders of src, and what each may import. Imports go one way: from a row to rows above it.
// docs/architecture.md describes the folders. test/checks/imports.mjs fails for a folder without a
// row.
export const layers = {
  protocol: [],
  hub: ['protocol'],
  webhooks: ['protocol', 'hub/engine', 'hub/cluster', 'hub/time', 'hub/log', 'hub/events'],
  engine: ['protocol', 'hub/cluster', 'hub/dedupe', 'hub/engine', 'hub/log', 'hub/recall', 'hub/time'],
  threads: ['protocol', 'hub/cluster', 'hub/engine', 'hub/log', 'hub/time', 'hub/fingerprints', 'engine'],
  transport: ['protocol'],
  wire: ['protocol', 'hub/engine', 'hub/log', 'hub/subscriber'],
  client: ['protocol', 'hub', 'transport/transport', 'wire/wire'],
  auth: ['protocol', 'hub/cluster', 'transport/transport'],
  http: ['protocol', 'transport/transport', 'wire/wire', 'auth'],
  api: ['protocol', 'hub', 'transport/transport', 'wire/wire', 'wire/v1', 'auth', 'http', 'client/authorizer'],
  admin: ['transport/transport', 'http', 'auth'],
  accept: ['protocol', 'hub', 'transport/transport', 'wire', 'client', 'auth', 'http'],
  config: ['protocol', 'hub/settings', 'wire/wire'],
  observe: ['protocol', 'hub/events'],
  server: [
    'protocol',
    'hub',
    'engine',
    'threads',
    'transport',
    'wire',
    'client',
    'auth',
    'http',
    'api',
    'accept',
    'admin',
    'config',
    'observe',
    'webhooks',
  ],
  commands: ['protocol', 'transport/tls', 'auth', 'config', 'engine/backup', 'engine/redis/inspect', 'server'],
};

const rules = Object.entries(layers).map(([from, to]) => ({
  name: `${from}-imports`,
  comment: `src/${from} may import ${to.join(', ') || 'nothing of src'}`,
  severity: 'error',
  from: { path: `^src/${from}/` },
  to: { path: '^src/', pathNot: `^src/(${[from, ...to].map((path) => `${path}(/|\\.ts$)`).join('|')})` },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...rules,
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      comment: 'type imports count, since a reader follows them, too',
      to: { circular: true },
    },
    {
      name: 'protocol-is-a-leaf',
      comment: 'src/protocol runs in browsers, too',
      severity: 'error',
      from: { path: '^src/protocol/' },
      to: { pathNot: '^src/protocol/' },
    },
    {
      name: 'the-client-library-is-small',
      comment: 'web/sdk runs in browsers and imports only the protocol and mitt',
      severity: 'error',
      from: { path: '^web/sdk/' },
      to: { pathNot: '^(web/sdk/|src/protocol/|node_modules/mitt/)' },
    },
    {
      name: 'the-chat-is-a-client',
      comment: 'web/app reaches the server only through the client library',
      severity: 'error',
      from: { path: '^web/app/', pathNot: '^web/app/vite\\.config\\.ts$' },
      to: { pathNot: '^(web/app/|web/sdk/index\\.ts$|node_modules/(preact|@preact/signals|marked)/|virtual:emoji$)' },
    },
    {
      name: 'the-chat-shows-its-state',
      comment: 'views read the state; the state imports no view',
      severity: 'error',
      from: { path: '^web/app/state/' },
      to: { path: '^web/app/(view/|main)' },
    },
    {
      name: 'the-benchmark-is-a-client',
      comment: 'bench reaches a server only by its address',
      severity: 'error',
      from: { path: '^bench/' },
      to: { path: '^(src|web|test|examples)/' },
    },
    {
      name: 'one-importer-of-uws',
      comment: 'uws.ts imports the library and its types; uws-http.ts declares the methods that it calls',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/transport/uws\\.ts$' },
      to: { path: 'uWebSockets' },
    },
    {
      name: 'one-importer-of-mitt',
      comment: 'hub/events.ts wraps mitt in typed events',
      severity: 'error',
      from: { path: '^(src|bench)/', pathNot: '^src/hub/events\\.ts$' },
      to: { path: 'node_modules/mitt/' },
    },
    {
      name: 'nothing-imports-the-entry-points',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^src/(cli|index)\\.ts$' },
    },
    {
      name: 'no-loose-files',
      comment: 'src contains folders and two entry points, the library and the command',
      severity: 'error',
      from: { path: '^src/[^/]+$', pathNot: '^src/(cli|index)\\.ts$' },
      to: {},
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: { path: '^src/' },
      to: { couldNotResolve: true, pathNot: 'uWebSockets' },
    },
    {
      name: 'src-imports-no-tests',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|examples|web)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['types', 'import', 'require', 'node', 'default'],
    },
  },
};
