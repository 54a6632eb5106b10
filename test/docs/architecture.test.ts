import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const decisions = readdirSync('docs/decisions').map((file) => `docs/decisions/${file}`);
const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'docs/api.md',
  'docs/architecture.md',
  'docs/benchmarking.md',
  'docs/migrating.md',
  'docs/security.md',
  'docs/settings.md',
  'PROTOCOL.md',
  'CHANGELOG.md',
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

test.each(['Room', 'Member'])('no other class can write a field of %s', (name) => {
  const source = ts.createSourceFile('room.ts', readFileSync('src/hub/room.ts', 'utf8'), ts.ScriptTarget.Latest, true);
  const declaration = source.statements.find(
    (statement): statement is ts.ClassDeclaration => ts.isClassDeclaration(statement) && statement.name?.text === name,
  );
  const fields = declaration?.members.filter((member) => ts.isPropertyDeclaration(member)) ?? [];
  expect(fields.length).toBeGreaterThan(5);
  const writable = fields.filter(
    (field) =>
      !ts.isPrivateIdentifier(field.name) &&
      !field.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ReadonlyKeyword),
  );
  expect(writable.map((field) => field.name.getText())).toEqual([]);
});

test('every decision is linked from the architecture', () => {
  const text = readFileSync('docs/architecture.md', 'utf8');
  expect(decisions.filter((file) => !text.includes(file.replace('docs/', '')))).toEqual([]);
});
