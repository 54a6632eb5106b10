// Data flows one way, and so do imports: a folder imports from those above it in this table, never from those below it.
// docs/architecture.md explains the folders; test/checks/imports.mjs fails for a folder without a row.
export const layers = {
  protocol: [],
  hub: ['protocol'],
  engine: ['protocol', 'hub/engine', 'hub/log', 'hub/time'],
  transport: ['protocol'],
  wire: ['protocol', 'hub/engine', 'hub/log', 'hub/subscriber'],
  client: ['protocol', 'hub', 'transport/transport', 'wire/wire'],
  auth: ['protocol', 'transport/transport'],
  http: ['protocol', 'transport/transport', 'wire/wire', 'auth'],
  accept: ['protocol', 'hub', 'transport/transport', 'wire', 'client', 'auth', 'http'],
  config: ['protocol', 'hub/settings', 'wire/wire'],
  observe: ['protocol', 'hub/events'],
  server: ['protocol', 'hub', 'engine', 'transport', 'wire', 'client', 'auth', 'http', 'accept', 'config', 'observe'],
  commands: ['protocol', 'transport/tls', 'auth', 'config', 'server'],
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
      comment: 'type imports count: a file that cannot be read without another is part of it',
      to: { circular: true },
    },
    {
      name: 'protocol-is-a-leaf',
      comment: 'it runs in browsers too',
      severity: 'error',
      from: { path: '^src/protocol/' },
      to: { pathNot: '^src/protocol/' },
    },
    {
      name: 'the-client-library-is-small',
      comment: 'it runs in browsers, on the protocol and mitt alone',
      severity: 'error',
      from: { path: '^web/sdk/' },
      to: { pathNot: '^(web/sdk/|src/protocol/|node_modules/mitt/)' },
    },
    {
      name: 'the-chat-is-a-client',
      comment: 'it knows the server through the client library alone',
      severity: 'error',
      from: { path: '^web/app/', pathNot: '^web/app/vite\\.config\\.ts$' },
      to: { pathNot: '^(web/app/|web/sdk/index\\.ts$|node_modules/(preact|@preact/signals)/)' },
    },
    {
      name: 'the-chat-shows-its-state',
      comment: 'what is shown follows from the state, which knows nothing of it',
      severity: 'error',
      from: { path: '^web/app/state/' },
      to: { path: '^web/app/(view/|main)' },
    },
    {
      name: 'the-benchmark-is-a-client',
      comment: 'it knows a server by its address alone',
      severity: 'error',
      from: { path: '^bench/' },
      to: { path: '^(src|web|test|examples)/' },
    },
    {
      name: 'one-importer-of-uws',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/transport/uws\\.ts$' },
      to: { path: 'uWebSockets' },
    },
    {
      name: 'one-importer-of-mitt',
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
      comment: 'src holds folders, and the two entry points: the library and the command',
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
