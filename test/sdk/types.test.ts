import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { connect, type Json, type Room } from 'pumphouse/client';
import { afterEach, expect, test } from 'vitest';
import { FakeSocket } from './fakes.ts';

interface Author {
  readonly name: string;
  readonly age?: number;
}
interface Chat {
  readonly text: string;
  readonly author: Author;
  readonly tags: readonly Author[];
  readonly pair: readonly [number, Author | null];
  readonly byName: Readonly<Record<string, Author>>;
}
type UserId = string & { readonly brand: 'user' };
class Point {
  readonly x = 1;
  readonly y = 2;
}
class Circle extends Point {
  radius(): number {
    return this.x;
  }
}

const author: Author = { name: 'ada' };
const chat: Chat = { text: 'hi', author, tags: [author], pair: [1, null], byName: { ada: author } };

const sends: Promise<number>[] = [];
const hub = () => connect('http://hub.test', { WebSocket: FakeSocket, storage: false });

/** Returns the function `send` of a room without a connection, which records the promises. */
function sendOf<T>(room: Room<T, Json> = hub().join<T>('r')): (...data: Parameters<Room<T, Json>['send']>) => void {
  return (...data) => {
    const sent = room.send(...data);
    sent.catch(() => {});
    sends.push(sent);
  };
}

afterEach(() => {
  sends.length = 0;
});

// `npm run check:types` checks the following two tests: each line with @ts-expect-error must have
// an error, and no other line may have one.

test('send() accepts interfaces, unions, arrays, tuples, records and instances without methods', () => {
  sendOf<Chat>()(chat);
  sendOf<Chat | Author | null>()(author);
  sendOf<readonly Chat[]>()([chat]);
  sendOf<{ readonly author: Author; readonly nested: { readonly chat: Chat } }>()({ author, nested: { chat } });
  sendOf<{ readonly id: UserId; readonly kind: 'a' | 'b' }>()({ id: 'u1' as UserId, kind: 'a' });
  sendOf<{ readonly optional?: string }>()({});
  sendOf<Point>()(new Point());
  sendOf<Json>()({ any: ['json', 1, true, null] });
  sendOf<string>()('text');
  sendOf<unknown>()(author as unknown);
  const untyped: Room<unknown, unknown> = hub().join<Chat>('r');
  expect([sends.length, untyped.name]).toEqual([10, 'r']);
});

test('send() rejects at compile time what JSON cannot carry', () => {
  const optional = undefined as string | undefined;
  // @ts-expect-error the room has messages of another type
  sendOf<Chat>()({ text: 'without an author' });
  // @ts-expect-error the type has no such property
  sendOf<Author>()({ name: 'ada', color: 'red' });
  // @ts-expect-error JSON turns a Date into a string
  sendOf<{ readonly at: Date }>()({ at: new Date() });
  // @ts-expect-error also in an array
  sendOf<readonly (string | Date)[]>()([new Date()]);
  // @ts-expect-error JSON has no functions
  sendOf<{ readonly run: () => void }>()({ run: () => {} });
  // @ts-expect-error JSON loses the methods
  sendOf<Circle>()(new Circle());
  // @ts-expect-error JSON turns a Map into {}
  sendOf<Map<string, number>>()(new Map());
  // @ts-expect-error JSON turns a Set into {}
  sendOf<{ readonly names: ReadonlySet<string> }>()({ names: new Set(['ada']) });
  // @ts-expect-error JSON has no bigint
  sendOf<bigint>()(1n);
  // @ts-expect-error JSON has no symbols
  sendOf<symbol>()(Symbol('s'));
  // @ts-expect-error JSON has no undefined
  sendOf<undefined>()(undefined);
  // @ts-expect-error JSON turns undefined in an array into null
  sendOf<readonly (string | undefined)[]>()([optional]);
  // @ts-expect-error JSON omits a property that the receiver's type requires
  sendOf<{ readonly text: string | undefined }>()({ text: optional });
  // @ts-expect-error a Date is no JSON value
  sendOf<Json>()(new Date());
  expect(sends).toHaveLength(14);
});

test('the error of the compiler names what JSON cannot carry, and what to send instead', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-types-'));
  try {
    const source = `import { connect } from '${resolve('web/sdk/index.ts')}';
      void connect().join<{ at: Date }>('r').send({ at: new Date() });
      void connect().join<{ n: bigint }>('r').send({ n: 1n });
      void connect().join<{ run(): void }>('r').send({ run() {} });\n`;
    writeFileSync(join(folder, 'wrong.ts'), source);
    const tsconfig = { extends: resolve('web/sdk/tsconfig.json'), include: ['wrong.ts'] };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig));
    let output = '';
    try {
      execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '--noEmit', '-p', folder]);
    } catch (error) {
      output = String((error as { stdout: Buffer }).stdout);
    }
    const errors = [...output.matchAll(/'(NotJson<.*?>)'/g)].map(([, type]) => type);
    expect(errors).toEqual([
      'NotJson<"a Date: use a number or a string">',
      'NotJson<"a bigint: use a string">',
      'NotJson<"a function or method">',
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
