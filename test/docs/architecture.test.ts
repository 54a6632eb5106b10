import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';

const decisions = readdirSync('docs/decisions').map((file) => `docs/decisions/${file}`);
const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'docs/architecture.md',
  'docs/benchmarking.md',
  'docs/security.md',
  ...decisions,
];

describe.each(documents)('%s', (document) => {
  const text = readFileSync(document, 'utf8');

  test('names only files and folders that exist', () => {
    const named = text.match(/(?<=`)(?:src|web|bench|test|docs|deploy|examples|\.ci)\/[\w./-]*/g) ?? [];
    expect(named.filter((path) => !existsSync(path))).toEqual([]);
  });

  test('links only to what exists', () => {
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path]) =>
      join(dirname(document), path as string),
    );
    expect(links.filter((path) => !existsSync(path))).toEqual([]);
  });
});

test('the architecture opens with the six hops of one message through five files', () => {
  const text = readFileSync('docs/architecture.md', 'utf8');
  const hops = [...text.matchAll(/^\d\. \*\*`(src\/[\w./-]+)`\*\*/gm)].map(([, file]) => file);
  expect(hops).toHaveLength(6);
  expect(new Set(hops).size).toBe(5);
  expect(text.indexOf('1. **`src/')).toBeLessThan(text.indexOf('\n## ', 20));
});

test('the Hub and the Client are each read in one sitting', () => {
  const lines = (file: string) => readFileSync(file, 'utf8').split('\n').length;
  expect(lines('src/hub/hub.ts')).toBeLessThan(200);
  expect(lines('src/client/client.ts')).toBeLessThan(200);
});

test('every decision is linked from the architecture', () => {
  const text = readFileSync('docs/architecture.md', 'utf8');
  expect(decisions.filter((file) => !text.includes(file.replace('docs/', '')))).toEqual([]);
});
