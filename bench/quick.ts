import type { Contestant } from './contestant.ts';
import { type Job, jobOf } from './options.ts';
import { limit, type Peer, ws } from './peers/peers.ts';
import { pumphouse } from './pumphouse.ts';
import { grouped } from './report/figures.ts';
import { AGAIN } from './report/results.ts';
import { spreadOf } from './report/spread.ts';
import { type Run, runAll, trialsOf, type Watch } from './run.ts';
import { scenarioNamed } from './scenarios/index.ts';

/** What must hold beside another server, in deliveries per CPU second: far below what is measured, so that only a real loss shows. */
interface Expectation {
  readonly scenario: string;
  readonly beside: string;
  readonly atLeast: number;
}

const SOUND = ['open-loop', 'many-rooms', 'big-messages', 'churn', 'slow-readers', 'durable'];
const expectations: readonly Expectation[] = [
  { scenario: 'chat', beside: limit.contestant.name, atLeast: 0.4 },
  { scenario: 'fan-out-100', beside: limit.contestant.name, atLeast: 0.3 },
  { scenario: 'fan-out-100', beside: ws.contestant.name, atLeast: 1.2 },
  { scenario: 'fan-out-100', beside: AGAIN, atLeast: 0.5 },
];
const REPEAT = 2;

/** What a quick look found. */
export interface Look {
  readonly runs: readonly Run[];
  /** What was not measured, and why. */
  readonly missing: readonly string[];
  /** What does not hold. */
  readonly broken: readonly string[];
}

/** A minute: whether everything is heard, once and in order, and whether the server is about as fast as it should be beside others. */
export async function quick(transport: string, watch: Watch): Promise<Look> {
  const missing: string[] = [];
  const own = pumphouse('pumphouse', transport);
  const others = [ws, limit].flatMap((peer) => prepared(peer, missing));
  const job = (name: string, seconds: number): Job =>
    jobOf(scenarioNamed(name), { seconds, warmUp: 0.3, patience: 5, atOnce: 400 });
  const again = pumphouse(AGAIN, transport);
  const compared = [
    // One message a frame is hopeless there: it would take the rest of the minute.
    ...trialsOf([job('chat', 0.8)], [own, ...others.filter(({ name }) => name !== ws.contestant.name)]),
    ...trialsOf([job('fan-out-100', 0.8)], [own, again, ...others]),
  ];
  const alone = trialsOf(
    SOUND.map((name) => job(name, 1)),
    [own],
  );
  const runs = [
    ...(await runAll({ trials: compared, repeat: REPEAT }, watch)),
    ...(await runAll({ trials: alone, repeat: 1 }, watch)),
  ];
  return { runs, missing, broken: [...unsound(runs), ...tooSlow(runs)] };
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
      return Object.keys(closes).length > 0 ? [`${scenario}: clients were closed: ${JSON.stringify(closes)}`] : [];
    });
}

/** @returns what is slower than expected beside what was measured. */
export function tooSlow(runs: readonly Run[]): string[] {
  const medians = new Map(
    grouped(runs, ({ server, scenario }) => `${scenario} ${server}`).map((group) => {
      const spread = spreadOf(group.map(({ rates }) => rates.deliveriesPerCpuSecond));
      return [`${group[0]?.scenario} ${group[0]?.server}`, spread?.median ?? 0] as const;
    }),
  );
  return expectations.flatMap(({ scenario, beside, atLeast }) => {
    const own = medians.get(`${scenario} pumphouse`);
    const other = medians.get(`${scenario} ${beside}`);
    if (own === undefined || other === undefined || own >= other * atLeast) return [];
    const ratio = (own / other).toFixed(2);
    return [
      `${scenario}: it carries ${ratio} times what ${beside} does, and should carry ${atLeast} times that at least`,
    ];
  });
}
