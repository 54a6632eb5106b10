// npm run test:workers: the suites of one worker, with two.
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { sharedSettings, workersProjects } from '../../vitest.config.ts';

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: { ...sharedSettings, projects: workersProjects() },
});
