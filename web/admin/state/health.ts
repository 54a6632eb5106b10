import type { FigureName } from './figures.ts';
import type { History } from './history.ts';

/** How a panel's figures are, in the order of severity. */
const HEALTHS = ['unknown', 'normal', 'watch', 'act'] as const;
export type Health = (typeof HEALTHS)[number];

// A state is that of some seconds, so that it does not flicker.
const SECONDS = 5;
const MINUTE = 60;

// Members that are behind are judged by their share only when there are some.
const FEW_MEMBERS = 5;

/** Returns how a value is of which a higher one is worse. */
function judge(value: number | null, watch: number, act: number): Health {
  if (value === null) return 'unknown';
  return value >= act ? 'act' : value >= watch ? 'watch' : 'normal';
}

/** Returns the worst of some states. */
function worst(healths: readonly Health[]): Health {
  return HEALTHS[Math.max(0, ...healths.map((health) => HEALTHS.indexOf(health)))] as Health;
}

/** What a panel's state depends on. */
export interface Facts {
  readonly history: History;
  /** The engine's name. */
  readonly engine: string;
}

/** Returns how a recent mean is. */
function recent({ history }: Facts, name: FigureName, watch: number, act: number): Health {
  return judge(history.mean(name, SECONDS), watch, act);
}

/** The panels that have a state. The bounds of `watch` are those of docs/monitoring.md. */
export const judges = {
  load: (facts: Facts): Health => {
    const headroom = facts.history.mean('headroom', SECONDS);
    return worst([
      judge(headroom === null ? null : 1 - headroom, 0.7, 0.9),
      recent(facts, 'loop', 0.7, 0.9),
      recent(facts, 'turn', 0.5, 0.8),
      recent(facts, 'mailboxes', 0.1, 0.5),
      recent(facts, 'journal', 0.1, 0.5),
    ]);
  },
  turns: (facts: Facts): Health => recent(facts, 'turnP99', 10, 100),
  sends: (facts: Facts): Health => {
    const watch = sendBound(facts.engine);
    return recent(facts, 'sendP99', watch, 10 * watch);
  },
  messages: ({ history }: Facts): Health => {
    const overloads = history.mean('overloads', SECONDS);
    return overloads === null ? 'unknown' : overloads > 0 ? 'act' : 'normal';
  },
  deliveries: (facts: Facts): Health => recent(facts, 'posts', 256, 2048),
  connections: ({ history }: Facts): Health => judge(history.sum('refusals', MINUTE), 0.5, 60),
  members: ({ history }: Facts): Health => {
    const behind = (history.mean('parked', SECONDS) ?? 0) + (history.mean('catchingUp', SECONDS) ?? 0);
    const inStep = history.mean('inStep', SECONDS);
    if (inStep === null) return 'unknown';
    return behind <= FEW_MEMBERS ? 'normal' : judge(behind / (behind + inStep), 0.05, 0.25);
  },
  lag: (facts: Facts): Health => recent(facts, 'lagP99', 1, 1000),
  evictions: ({ history }: Facts): Health => judge(history.sum('evictions', MINUTE), 0.5, 10),
  memory: ({ history }: Facts): Health => {
    const [first] = history.column('rss').filter((value) => value !== null);
    const now = history.mean('rss', SECONDS);
    if (first === undefined || now === null) return 'unknown';
    return now > 2 * first && now - first > 256 * MiB ? 'watch' : 'normal';
  },
} satisfies Record<string, (facts: Facts) => Health>;

const MiB = 1024 * 1024;

export type PanelName = keyof typeof judges;

/** Returns the p99 of the time from a send to its commit that is normal with an engine, in ms. */
export function sendBound(engine: string): number {
  return engine === 'redis' ? 50 : 10;
}
