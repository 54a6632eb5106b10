import { type Advice, adviceFor } from './advice.ts';
import type { Finding } from './check.ts';
import type { Diagnosis } from './doctor.ts';
import { printable } from './proxy.ts';

const MARKS = { pass: '✓', warn: '!', fail: '✗', skipped: '-' } as const;
const NAME_WIDTH = 15;

// Parts of a line come from the other side, which may not send a terminal what it likes.
const MAX_LINE = 300;

/** One line for a check. */
export function lineOf({ name, kind, detail }: Finding): string {
  return `${MARKS[kind]} ${name.padEnd(NAME_WIDTH)} ${printable(detail, MAX_LINE)}`;
}

/** What to change. Equal advice of several checks is written once. */
export function adviceText({ walk, findings }: Diagnosis): string {
  const grouped = new Map<string, { readonly names: string[]; readonly advice: Advice }>();
  for (const finding of findings) {
    if (finding.kind !== 'fail' && finding.kind !== 'warn') continue;
    const advice = adviceFor(walk.proxy, finding.advice);
    const key = JSON.stringify(advice);
    const group = grouped.get(key) ?? { names: [], advice };
    group.names.push(finding.name);
    grouped.set(key, group);
  }
  return [...grouped.values()].map(({ names, advice }) => `\n${names.join(', ')}: ${changesText(advice)}`).join('');
}

function changesText({ text, ...programs }: Advice): string {
  const lines = Object.entries(programs).flatMap(([program, { run = [], add = [], remove = [] }]) => [
    ...(run.length > 0 ? [`  ${program}, run`, ...run.map(indented)] : []),
    ...(add.length > 0 ? [`  ${program}, add`, ...add.map(indented)] : []),
    ...(remove.length > 0 ? [`  ${program}, remove`, ...remove.map(indented)] : []),
  ]);
  return `${[printable(text, MAX_LINE), ...lines].join('\n')}\n`;
}

function indented(line: string): string {
  const [indent = ''] = /^ */.exec(line) ?? [];
  return `      ${indent}${printable(line)}`;
}

/** The last line. */
export function summaryOf({ findings }: Diagnosis): string {
  const count = (kind: Finding['kind']) => findings.filter((finding) => finding.kind === kind).length;
  const [failed, warned, skipped] = [count('fail'), count('warn'), count('skipped')];
  const parts = [
    failed > 0 ? `${failed} failed` : '',
    warned > 0 ? `${warned} ${warned === 1 ? 'warning' : 'warnings'}` : '',
    `${count('pass')} passed`,
    skipped > 0 ? `${skipped} skipped` : '',
  ];
  return parts.filter((part) => part !== '').join(', ');
}

/** 1 if a check has failed, else 0. */
export function exitCodeOf({ findings }: Diagnosis): 0 | 1 {
  return findings.some(({ kind }) => kind === 'fail') ? 1 : 0;
}

/** The whole diagnosis as an object of the JSON output. docs/deployment.md describes it. */
export function jsonOf(diagnosis: Diagnosis): object {
  const { walk, findings } = diagnosis;
  return {
    url: walk.target.wsUrl,
    result: exitCodeOf(diagnosis) === 0 ? 'pass' : 'fail',
    proxy: walk.proxy,
    checks: findings.map((finding) => ({
      name: finding.name,
      result: finding.kind,
      detail: finding.detail,
      ...('measured' in finding && finding.measured && { measured: finding.measured }),
      ...('advice' in finding && { advice: adviceFor(walk.proxy, finding.advice) }),
    })),
  };
}
