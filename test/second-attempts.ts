import type { TestError } from 'vitest';
import type { Reporter, TestCase } from 'vitest/node';

/** Reports why tests that passed in their second attempt failed in the first. */
export default class SecondAttempts implements Reporter {
  readonly #failures: string[] = [];

  onTestCaseResult(test: TestCase): void {
    const { state, errors = [] } = test.result();
    if (state !== 'passed' || !test.diagnostic()?.retryCount) return;
    this.#failures.push([`${test.module.relativeModuleId} > ${test.fullName}`, ...errors.map(describe)].join('\n'));
  }

  onTestRunEnd(): void {
    if (this.#failures.length === 0) return;
    console.log(`\nPassed in the second attempt, and failed in the first:\n\n${this.#failures.join('\n\n')}\n`);
  }
}

function describe({ message, diff = '', stacks = [] }: TestError): string {
  const places = stacks.map(({ file, line }) => `    at ${file}:${line}`);
  return [message, diff, ...places].filter((part) => part !== '').join('\n');
}
