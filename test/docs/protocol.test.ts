import { readFileSync } from 'node:fs';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { errors } from '../../src/protocol/v1.ts';

const specification = readFileSync('PROTOCOL.md', 'utf8');
const documented = [...specification.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code as string).join('');
const inDocument = parse('PROTOCOL.ts', documented);
const inSource = parse('v1.ts', readFileSync('src/protocol/v1.ts', 'utf8'));

type Declaration = ts.InterfaceDeclaration | ts.TypeAliasDeclaration;

function parse(name: string, code: string): Map<string, Declaration> {
  const file = ts.createSourceFile(name, code, ts.ScriptTarget.Latest, true);
  const types = file.statements.filter(
    (statement): statement is Declaration =>
      ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement),
  );
  return new Map(types.map((type) => [type.name.text, type]));
}

/** Returns a type as text that is the same for every format, without `readonly`. */
function textOf(type: ts.TypeNode | undefined): string {
  const text =
    type
      ?.getText()
      .replace(/\breadonly /g, '')
      .replace(/\s+/g, ' ') ?? '';
  return text.replace(/^\| /, '');
}

/** Returns the fields of an interface, such as `seq?: number`, or the text of another type. */
function describeType(declaration: Declaration): string[] {
  if (ts.isTypeAliasDeclaration(declaration)) return [textOf(declaration.type)];
  return declaration.members.filter(ts.isPropertySignature).map(({ name, questionToken, type }) => {
    return `${name.getText()}${questionToken ? '?' : ''}: ${textOf(type)}`;
  });
}

test('PROTOCOL.md has every type of the protocol and no other', () => {
  expect(inSource.size).toBeGreaterThan(25);
  expect([...inDocument.keys()].toSorted()).toEqual([...inSource.keys()].toSorted());
});

describe('PROTOCOL.md has the fields of', () => {
  test.each([...inSource.keys()].filter((name) => name !== 'ErrorCode'))('%s', (name) => {
    const type = inDocument.get(name);
    expect(type && describeType(type)).toEqual(describeType(inSource.get(name) as Declaration));
  });
});

test('PROTOCOL.md has the error codes of the source', () => {
  const codes = textOf((inDocument.get('ErrorCode') as ts.TypeAliasDeclaration).type);
  expect(codes).toBe(
    Object.keys(errors)
      .map((code) => `'${code}'`)
      .join(' | '),
  );
});

test('PROTOCOL.md explains every field, except those that all messages share', () => {
  const fields = documented.split('\n').filter((line) => /^ {2}\w+\??: /.test(line));
  const shared = /^ {2}(t: '\w+'|room: string|limits: Limits|why: GapReason|code: ErrorCode);$/;
  expect(fields.length).toBeGreaterThan(80);
  expect(fields.filter((line) => !line.includes('; // ') && !shared.test(line))).toEqual([]);
});

test('the error table of PROTOCOL.md has the retry and the delay of each error', () => {
  const rows = [...specification.matchAll(/^\| `([a-z_]+)` +\| (yes|no) +\| (?:([\d,]+) ms)? +\| (.+) \|$/gm)];
  const table = rows.map(([, code, retry, delay]) => {
    const retryAfter = delay && Number(delay.replace(',', ''));
    return [code, { retry: retry === 'yes', ...(retryAfter && { retryAfter }) }];
  });
  const source = Object.entries(errors).map(([code, { message: _, ...rest }]) => [code, rest]);
  expect(table).toEqual(source);
});
