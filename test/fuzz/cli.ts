import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Argument, Command, Option } from 'commander';
import { number } from '../../bench/options.ts';
import { Keys, scopes } from '../../src/auth/keys.ts';
import { serving } from '../cli/command.ts';
import { fuzzApi } from './api.ts';
import { type Findings, fuzz } from './fuzz.ts';

const LARGEST = Number.MAX_SAFE_INTEGER;

interface Values {
  readonly transport: string;
  readonly workers: number;
  readonly seed: number;
  readonly count: number;
  readonly requests?: number;
}

const command = new Command('npm run fuzz --')
  .description('Sends frames, handshakes and requests, valid and broken, to a server of its own.')
  .addArgument(new Argument('[target]', 'the WebSockets, or the Server API').choices(['sockets', 'api']))
  .addOption(new Option('--transport <NAME>', 'of the server').choices(['auto', 'uws', 'ws']).default('auto'))
  .option('--workers <N>', 'of the server', number(1, 256), 1)
  .option('--seed <N>', 'another one sends something else', number(0, LARGEST), 1)
  .option('--count <N>', 'how many frames, handshakes and requests', number(1, LARGEST), 1_000_000)
  .option('--requests <N>', 'the same for the Server API', number(1, LARGEST))
  .parse();
const { transport, workers, seed, ...values } = command.opts<Values>();
const api = command.args[0] === 'api';
const count = values.requests ?? values.count;
const ROUNDS = 10;

// Once its caches are full, the server may grow by this in all rounds that follow, in MB.
const MAX_GROWTH = 150;

const folder = mkdtempSync(join(tmpdir(), 'pumphouse-fuzz-'));
const keys = new Keys(join(folder, 'keys.json'));
const fuzzKeys = {
  valid: keys.add({ name: 'fuzz', scopes }),
  limited: keys.add({ name: 'limited', scopes: ['read'], rooms: ['allowed'] }),
};
const options = ['--publish-rate', 'off', '--transport', transport, '--workers', `${workers}`];
const { running, url, port } = await serving([...options, '--keys', join(folder, 'keys.json')]);
const memory = () =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${running.process.pid}/status`, 'utf8'))?.[1]) / 1024;
const runRound = (seed: number): Promise<Findings> =>
  api ? fuzzApi(port, fuzzKeys, seed, count / ROUNDS) : fuzz(port, seed, count / ROUNDS);

const sizes = [memory()];
const answers: Record<string, number> = {};
const failures: string[] = [];
let cases = 0;
for (let round = 0; round < ROUNDS && failures.length === 0; round++) {
  const findings = await runRound(seed * ROUNDS + round);
  cases += findings.cases;
  failures.push(...findings.failures);
  for (const [answer, times] of Object.entries(findings.answers)) answers[answer] = (answers[answer] ?? 0) + times;
  sizes.push(memory());
  console.log(`${cases} cases, ${Math.round(sizes.at(-1) as number)} MB`);
}
const growth = (sizes.at(-1) as number) - (sizes[ROUNDS / 2] as number);
if (api && growth > MAX_GROWTH) failures.push(`the server grew by ${Math.round(growth)} MB in the second half`);
const alive = await fetch(`${url}/healthz`).then(({ status }) => status === 200);
const connections = /^pumphouse_connections (\d+)/m.exec(await (await fetch(`${url}/metrics`)).text())?.[1];
console.log(answers);
for (const failure of failures) console.error(failure);
console.log(
  `${cases} cases on ${transport}, ${failures.length} failures; alive: ${alive}, open connections: ${connections}`,
);
running.process.kill('SIGKILL');
rmSync(folder, { recursive: true });
process.exitCode = failures.length > 0 || !alive ? 1 : 0;
