import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { serving } from '../cli/command.ts';
import { fuzz } from './fuzz.ts';

// npm run fuzz                              a million frames, handshakes and requests
// npm run fuzz -- --transport ws --seed 7   the same with another seed, on the other transport
const { values } = parseArgs({
  options: {
    transport: { type: 'string', default: 'auto' },
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '1000000' },
  },
});
const options = ['--publish-rate', 'off', '--transport', values.transport];
const { running, url, port } = await serving(options);
const memory = () =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${running.process.pid}/status`, 'utf8'))?.[1]) / 1024;
const rounds = 10;
const sizes = [memory()];
const answers: Record<string, number> = {};
const failures: string[] = [];
let cases = 0;
for (let round = 0; round < rounds && failures.length === 0; round++) {
  const findings = await fuzz(port, Number(values.seed) * rounds + round, Number(values.count) / rounds);
  cases += findings.cases;
  failures.push(...findings.failures);
  for (const [answer, times] of Object.entries(findings.answers)) answers[answer] = (answers[answer] ?? 0) + times;
  sizes.push(memory());
  console.log(`${cases} cases, ${Math.round(sizes.at(-1) as number)} MB`);
}
const alive = await fetch(`${url}/healthz`).then(({ status }) => status === 200);
const connections = /^pumphouse_connections (\d+)/m.exec(await (await fetch(`${url}/metrics`)).text())?.[1];
console.log(answers);
for (const failure of failures) console.error(failure);
console.log(
  `${cases} cases on ${values.transport}, ${failures.length} failures; alive: ${alive}, open connections: ${connections}`,
);
running.process.kill('SIGKILL');
process.exitCode = failures.length > 0 || !alive ? 1 : 0;
