import type { Advice } from '../../src/doctor/advice.ts';
import type { Finding } from '../../src/doctor/check.ts';
import { type Diagnosis, diagnose } from '../../src/doctor/doctor.ts';
import { adviceText, exitCodeOf, lineOf } from '../../src/doctor/report.ts';
import { parseTarget } from '../../src/doctor/target.ts';
import type { WalkOptions } from '../../src/doctor/walk.ts';

/** A diagnosis, and what the command makes of it. */
export class Examined {
  readonly diagnosis: Diagnosis;

  constructor(diagnosis: Diagnosis) {
    this.diagnosis = diagnosis;
  }

  /** The exit code of the command. */
  get code(): 0 | 1 {
    return exitCodeOf(this.diagnosis);
  }

  get failed(): readonly string[] {
    return this.#names('fail');
  }

  get warned(): readonly string[] {
    return this.#names('warn');
  }

  get skipped(): readonly string[] {
    return this.#names('skipped');
  }

  /** All that the command prints but its summary. */
  get output(): string {
    return `${this.diagnosis.findings.map(lineOf).join('\n')}\n${adviceText(this.diagnosis)}`;
  }

  /** The finding of a check. */
  of(name: string): Finding & { readonly advice?: Advice } {
    const finding = this.diagnosis.findings.find((each) => each.name === name);
    if (finding === undefined) throw new Error(`no check ${name}`);
    return finding;
  }

  #names(kind: Finding['kind']): readonly string[] {
    return this.diagnosis.findings.filter((finding) => finding.kind === kind).map(({ name }) => name);
  }
}

/** Runs the doctor in this process, without the idle check and with any certificate. */
export async function examine(url: string, options: Partial<WalkOptions> = {}): Promise<Examined> {
  const parsed = parseTarget(url);
  if (parsed.kind === 'invalid') throw new Error(parsed.reason);
  const { target } = parsed;
  const defaults = { target, room: 'doctor-test', idleMs: 0, timeoutMs: 10_000, insecure: true };
  return new Examined(await diagnose({ ...defaults, ...options }, new AbortController().signal));
}
