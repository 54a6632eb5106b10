// Preloaded by npm start: builds the pages, and has each thread load TypeScript. The module `tsx`
// itself does so in the main thread alone.
import { isMainThread } from 'node:worker_threads';
import { register } from 'tsx/esm/api';

if (isMainThread) await import('./web/build.mjs');
process.setSourceMapsEnabled(true);
register();
