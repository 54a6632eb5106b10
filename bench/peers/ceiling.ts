// Measures the capacity of one generator against the cheapest possible servers. Faster servers
// cannot be measured with it.
import { Command } from 'commander';
import { conditions, conditionsLine } from '../conditions.ts';
import { duration, expectedSeconds } from '../duration.ts';
import { watchForInterrupts } from '../interrupt.ts';
import { type Job, jobOf } from '../job.ts';
import { runWithProgress } from '../progress.ts';
import { percent, whole } from '../report/figures.ts';
import { runAll } from '../run.ts';
import { limit, limitWithFrames } from './peers.ts';

const job = (clients: number): Job => jobOf(undefined, { clients, senders: 100, window: 10, seconds: 3 });

new Command('npm run bench:ceiling --')
  .description(
    `Measures the capacity of one load generator. Takes ${duration(2 * expectedSeconds(job(1000).load))} on two cores.`,
  )
  .parse();
watchForInterrupts();
limit.prepare();
const trials = [
  { job: job(1000), contestant: limit.contestant, framing: 'one frame per round' },
  { job: job(100), contestant: limitWithFrames.contestant, framing: 'one frame per message' },
];
const runs = await runAll({ trials, repeat: 1 }, runWithProgress);
for (const [i, { rates, result, sound }] of runs.entries()) {
  const busy = percent(result.generator.busy);
  const verdict = sound ? 'each once and in order' : 'NOT SOUND';
  console.log(
    `${trials[i]?.framing}: ${whole(rates.deliveriesPerSecond)} deliveries per second (${busy} busy), ${verdict}`,
  );
}
console.log(`\n${conditionsLine(conditions())}`);
