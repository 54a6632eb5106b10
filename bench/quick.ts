import type { Contestant } from './contestant.ts';
import { type Job, jobOf } from './job.ts';
import { limit, type Peer, ws } from './peers/peers.ts';
import { pumphouse } from './pumphouse.ts';
import { grouped } from './report/figures.ts';
import { CONTROL } from './report/results.ts';
import { spreadOf } from './report/spread.ts';
import { type LoadRunner, type Run, runAll, trialsOf } from './run.ts';
import { scenarioNamed } from './scenarios.ts';

/**
 * The least acceptable ratio to another server, in deliveries per CPU second. Far below measured
 * ratios, so that noise passes.
 */
interface Expectation {
  readonly scenario: string;
  readonly reference: string;
  readonly minRatio: number;
}

const CORRECTNESS = ['open-loop', 'many-rooms', 'big-messages', 'churn', 'slow-readers', 'durable'];
const expectations: readonly Expectation[] = [
  { scenario: 'chat', reference: limit.contestant.name, minRatio: 0.4 },
  { scenario: 'fan-out-100', reference: limit.contestant.name, minRatio: 0.3 },
  { scenario: 'fan-out-100', reference: ws.contestant.name, minRatio: 1.2 },
  { scenario: 'fan-out-100', reference: CONTROL, minRatio: 0.5 },
];
const REPEAT = 2;

/** The outcome of the quick check. */
export interface QuickResult {
  readonly runs: readonly Run[];
  /** Servers that were not measured, with the reason. */
  readonly missing: readonly string[];
  /** Expectations that were not met. */
  readonly failures: readonly string[];
}

/**
 * Checks within a minute that every message is delivered once and in order, and that Pumphouse is
 * not far slower than expected.
 */
export async function quick(transport: string, runLoad: LoadRunner): Promise<QuickResult> {
  const missing: string[] = [];
  const subject = pumphouse('pumphouse', transport);
  const others = [ws, limit].flatMap((peer) => prepared(peer, missing));
  const job = (name: string, seconds: number): Job =>
    jobOf(scenarioNamed(name), { seconds, warmUp: 0.3, patience: 5, atOnce: 400 });
  const control = pumphouse(CONTROL, transport);
  const compared = [
    // ws sends one message per frame: the backlog of chat would take the rest of the minute.
    ...trialsOf([job('chat', 0.8)], [subject, ...others.filter(({ name }) => name !== ws.contestant.name)]),
    ...trialsOf([job('fan-out-100', 0.8)], [subject, control, ...others]),
  ];
  const alone = trialsOf(
    CORRECTNESS.map((name) => job(name, 1)),
    [subject],
  );
  const runs = [
    ...(await runAll({ trials: compared, repeat: REPEAT }, runLoad)),
    ...(await runAll({ trials: alone, repeat: 1 }, runLoad)),
  ];
  return { runs, missing, failures: [...unsound(runs), ...tooSlow(runs)] };
}

function prepared({ contestant, prepare }: Peer, missing: string[]): Contestant[] {
  try {
    prepare();
    return [contestant];
  } catch (error) {
    missing.push(`${contestant.name} is left out: ${(error as Error).message.split('\n')[0]}`);
    return [];
  }
}

function unsound(runs: readonly Run[]): string[] {
  return runs
    .filter(({ server }) => server.startsWith('pumphouse'))
    .flatMap(({ scenario, sound, notices, result: { closes } }) => {
      if (!sound) return [`${scenario}: ${notices[0]}`];
      return Object.keys(closes).length > 0
        ? [`${scenario}: the server closed clients: ${JSON.stringify(closes)}`]
        : [];
    });
}

/** @returns a line for each expectation that the measured ratios do not meet. */
export function tooSlow(runs: readonly Run[]): string[] {
  const medians = new Map(
    grouped(runs, ({ server, scenario }) => `${scenario} ${server}`).map((group) => {
      const spread = spreadOf(group.map(({ rates }) => rates.deliveriesPerCpuSecond));
      return [`${group[0]?.scenario} ${group[0]?.server}`, spread?.median ?? 0] as const;
    }),
  );
  return expectations.flatMap(({ scenario, reference, minRatio }) => {
    const subject = medians.get(`${scenario} pumphouse`);
    const other = medians.get(`${scenario} ${reference}`);
    if (subject === undefined || other === undefined || subject >= other * minRatio) return [];
    const ratio = (subject / other).toFixed(2);
    return [
      `${scenario}: deliveries per CPU second are ${ratio} times those of ${reference}, below the expected ${minRatio}`,
    ];
  });
}
