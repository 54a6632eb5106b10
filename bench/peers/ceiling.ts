// How much one generator can take in, against servers that cost the least: what it says of faster ones is its own limit.
import { conditions, conditionsLine } from '../conditions.ts';
import { watchForInterrupts } from '../interrupt.ts';
import { type Job, jobOf } from '../options.ts';
import { percent, whole } from '../report/figures.ts';
import { runAll } from '../run.ts';
import { watch } from '../watch.ts';
import { limit, limitInFrames } from './peers.ts';

const job = (clients: number): Job => jobOf(undefined, { clients, senders: 100, window: 10, seconds: 3 });

watchForInterrupts();
limit.prepare();
const trials = [
  { job: job(1000), contestant: limit.contestant, what: 'messages of a round in one frame' },
  { job: job(100), contestant: limitInFrames.contestant, what: 'each message in a frame of its own' },
];
const runs = await runAll({ trials, repeat: 1 }, watch);
for (const [i, { rates, result, sound }] of runs.entries()) {
  const busy = percent(result.generator.busy);
  const verdict = sound ? 'each once and in order' : 'NOT SOUND';
  console.log(`${trials[i]?.what}: ${whole(rates.deliveriesPerSecond)} deliveries a second (${busy} busy), ${verdict}`);
}
console.log(`\n${conditionsLine(conditions())}`);
