import { execFileSync } from 'node:child_process';
import { cpus, release, type } from 'node:os';

/** What a figure means nothing without. */
export interface Conditions {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  readonly kernel: string;
  /** Of the checkout, with a `+` where something in it is changed; undefined where it is none. */
  readonly commit: string | undefined;
  readonly date: string;
}

export function conditions(): Conditions {
  const [first] = cpus();
  return {
    cpu: first?.model.trim() ?? 'unknown',
    cores: cpus().length,
    node: process.version,
    kernel: `${type()} ${release()}`,
    commit: commit(),
    date: new Date().toISOString().slice(0, 10),
  };
}

export function conditionsLine({ cpu, cores, node, kernel, commit, date }: Conditions): string {
  return [`${cores} cores of ${cpu}`, `Node ${node}`, kernel, commit && `commit ${commit}`, date]
    .filter(Boolean)
    .join(', ');
}

function commit(): string | undefined {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8', stdio: 'pipe' }).trim();
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+');
  } catch {
    return undefined;
  }
}
