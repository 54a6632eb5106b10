import { createServer, redis } from '../../dist/index.js';

// A node with times of the engine that `serve` has no flags for. Its argument is JSON.
const { port, ...engine } = JSON.parse(process.argv[2]);
await createServer({ publicMetrics: 'on', host: '127.0.0.1', port, logLevel: 'warn', engine: redis(engine) });
