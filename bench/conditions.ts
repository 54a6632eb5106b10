import { execFileSync } from 'node:child_process';
import { cpus, release, type } from 'node:os';

/** The machine and the version that figures belong to. */
export interface Conditions {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  readonly kernel: string;
  /**
   * The commit of the checkout, with a `+` if it has local changes; undefined outside a checkout.
   */
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
