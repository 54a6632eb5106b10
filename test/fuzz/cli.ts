import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Keys, scopes } from '../../src/auth/keys.ts';
import { serving } from '../cli/command.ts';
import { fuzzApi } from './api.ts';
import { type Findings, fuzz } from './fuzz.ts';

// npm run fuzz                              a million frames, handshakes and requests
// npm run fuzz -- --transport ws --seed 7   the same with another seed, on the other transport
// npm run fuzz -- api --requests 1000000    a million requests to the Server API
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    transport: { type: 'string', default: 'auto' },
    workers: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '1000000' },
    requests: { type: 'string' },
  },
});
const api = positionals[0] === 'api';
const count = Number(values.requests ?? values.count);
const ROUNDS = 10;

// Once its caches are full, the server may grow by this in all rounds that follow, in MB.
const MAX_GROWTH = 150;

const folder = mkdtempSync(join(tmpdir(), 'pumphouse-fuzz-'));
const keys = new Keys(join(folder, 'keys.json'));
const fuzzKeys = {
  valid: keys.add({ name: 'fuzz', scopes }),
  limited: keys.add({ name: 'limited', scopes: ['read'], rooms: ['allowed'] }),
};
const options = ['--publish-rate', 'off', '--transport', values.transport, '--workers', values.workers];
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
  const findings = await runRound(Number(values.seed) * ROUNDS + round);
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
  `${cases} cases on ${values.transport}, ${failures.length} failures; alive: ${alive}, open connections: ${connections}`,
);
running.process.kill('SIGKILL');
rmSync(folder, { recursive: true });
process.exitCode = failures.length > 0 || !alive ? 1 : 0;
