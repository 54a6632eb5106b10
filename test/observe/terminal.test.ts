import { pino } from 'pino';
import { expect, test } from 'vitest';
import { formatLine } from '../../src/observe/terminal.ts';

/** Returns the line that `log` writes, formatted without its time of day. */
function format(write: (log: pino.Logger) => void, colours = false): string {
  let formatted = '';
  write(pino({ base: null }, { write: (json) => (formatted += formatLine(json, colours)) }));
  expect(formatted).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] /);
  return formatted.slice('[00:00:00.000] '.length);
}

test('prints the level, the message and the fields on one line', () => {
  const fields = { code: 1001, why: 'going away', user: 'ada', rooms: ['a', 'b'], none: null };
  expect(format((log) => log.warn(fields, 'closed'))).toBe(
    'WARN: closed code=1001 why="going away" user=ada rooms=["a","b"] none=null\n',
  );
});

test('prints the stack of an error below the line', () => {
  const error = Object.assign(new Error('disk full'), { stack: 'Error: disk full\n    at write' });
  expect(format((log) => log.error({ err: error }, 'crashed'))).toBe(
    'ERROR: crashed\n    Error: disk full\n        at write\n',
  );
});

test('colours the level where the terminal has colours', () => {
  expect(format((log) => log.info('hello'), true)).toBe('\x1b[32mINFO\x1b[0m: hello\n');
});

test('keeps a text with line breaks or quotes on its line', () => {
  expect(format((log) => log.info({ path: 'a\nb', name: 'say "hi"' }, 'x'))).toBe(
    'INFO: x path="a\\nb" name="say \\"hi\\""\n',
  );
});

test('escapes characters that control the terminal', () => {
  const hostile = { user: '\x1b[2J', room: '\x9b2J', err: Object.assign(new Error(''), { stack: 'at\x1b]0;x\x07' }) };
  expect(format((log) => log.info(hostile, 'joined \x1b[2J'))).toBe(
    'INFO: joined \\x1b[2J user="\\u001b[2J" room="\\x9b2J"\n    at\\x1b]0;x\\x07\n',
  );
});
