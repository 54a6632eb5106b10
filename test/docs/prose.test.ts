import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const MAX_COLUMNS = 100;

/** Phrases that the code was once written in, and that took two readings. */
const RIDDLES = /who is told|\bis none\b|that is no\b|doorstep|turnstile|stragglers|\bHooked\b/i;

const tracked = execFileSync('git', ['ls-files'], { encoding: 'utf8' }).trim().split('\n');
const documents = tracked.filter((file) => file.endsWith('.md'));
const sources = tracked.filter(
  (file) => /^(src|web|bench|examples|docs|test)\/.*\.(ts|tsx|mjs)$/.test(file) && file !== 'test/docs/prose.test.ts',
);

/** The lines of a document that wrap: no table, no code, and no link, which cannot be broken. */
function proseOf(document: string): string[] {
  const prose: string[] = [];
  let isCode = false;
  for (const line of document.split('\n')) {
    if (line.startsWith('```')) isCode = !isCode;
    else if (!isCode && !/^ {4}|^\||^\[\^|\]\(|https?:/.test(line)) prose.push(line);
  }
  return prose;
}

/** The lines of a source file that hold nothing but a comment. */
function commentsOf(source: string): string[] {
  return source.split('\n').filter((line) => /^\s*(\/\/|\/\*\*|\*)/.test(line) && !/https?:/.test(line));
}

test('the documents and sources are found', () => {
  expect(documents.length).toBeGreaterThan(10);
  expect(sources.length).toBeGreaterThan(200);
});

test.each(documents)('%s wraps at 100 columns', (file) => {
  const long = proseOf(readFileSync(file, 'utf8')).filter((line) => line.length > MAX_COLUMNS);
  expect(long).toEqual([]);
});

describe('comments', () => {
  test('wrap at 100 columns', () => {
    const long = sources.flatMap((file) =>
      commentsOf(readFileSync(file, 'utf8'))
        .filter((line) => line.length > MAX_COLUMNS)
        .map((line) => `${file}: ${line.trim()}`),
    );
    expect(long).toEqual([]);
  });
});

test('no riddle of the old language is left', () => {
  const files = [...documents, ...sources.filter((file) => !file.startsWith('test/'))];
  const found = files.filter((file) => RIDDLES.test(readFileSync(file, 'utf8')));
  expect(found).toEqual([]);
});
