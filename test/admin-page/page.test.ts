import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { visibleName } from '../../web/admin/state/names.ts';
import { hashOf, parseRoute, routeOfTerm } from '../../web/admin/state/route.ts';
import { ServerEventParser } from '../../web/admin/state/server-events.ts';
import { formatMs, formatRate, formatSpan } from '../../web/admin/view/format.ts';
import { HOSTILE_NAMES } from '../browser/admin/snapshots.ts';

describe('a stream of events', () => {
  const stream =
    'retry: 2000\n\n: a comment\nevent: snapshot\ndata: {"a":\r\ndata: 1}\r\n\r\ndata:plain\n\nevent: empty\n\n';
  const events = [
    { name: 'snapshot', data: '{"a":\n1}' },
    { name: 'message', data: 'plain' },
  ];

  test('is read the same wherever it is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length)), (cuts) => {
        const ends = [...new Set(cuts), stream.length].sort((a, b) => a - b);
        const parser = new ServerEventParser();
        let from = 0;
        const read = ends.flatMap((end) => {
          const part = stream.slice(from, end);
          from = end;
          return parser.push(part);
        });
        expect(read).toEqual(events);
      }),
    );
  });

  test('fails where an event does not end', () => {
    const parser = new ServerEventParser();
    expect(() => {
      for (let i = 0; i < 10; i++) parser.push(`data: ${'x'.repeat(1024 * 1024)}\n`);
    }).toThrow('too long');
  });
});

describe('a route', () => {
  test('comes back from its hash, whatever the name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (name) => {
        expect(parseRoute(hashOf({ kind: 'user', name }))).toEqual({ kind: 'user', name });
        expect(parseRoute(hashOf({ kind: 'session', id: name }))).toEqual({ kind: 'session', id: name });
      }),
    );
    expect(hashOf({ kind: 'user', name: '\ud800' })).toBe('#/user/%EF%BF%BD');
  });

  test('leads to the Hub at work for any other hash', () => {
    for (const hash of ['', '#', '#/', '#/user/', '#/user/%ff', '#/room/x', '#/user/a/b']) {
      expect(parseRoute(hash)).toEqual({ kind: 'work' });
    }
  });

  test('is that of a session for the id of one, and else of a user', () => {
    expect(routeOfTerm(' abcdefgh_-345678 ')).toEqual({ kind: 'session', id: 'abcdefgh_-345678' });
    expect(routeOfTerm('42')).toEqual({ kind: 'session', id: '42' });
    expect(routeOfTerm('ada')).toEqual({ kind: 'user', name: 'ada' });
    expect(routeOfTerm('  ')).toEqual({ kind: 'work' });
  });
});

test('names have no invisible characters', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (name) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(visibleName(name))),
  );
  expect(HOSTILE_NAMES.slice(0, 3).map(visibleName)).toEqual([
    '<img src=x onerror="document.title=1">',
    '\\u{202e}gnitrever',
    'tab\\tand\\u{0}null\\nnew line',
  ]);
});

test('figures are formatted in little space', () => {
  expect([0, 0.02, 5.5, 12.34, 123.4, null].map(formatMs)).toEqual(['0.0', '0.02', '5.50', '12.3', '123', '–']);
  expect([0, 0.25, 12.6, 123_456, 12_345_678].map(formatRate)).toEqual(['0', '0.3', '13', '123,456', '12.3M']);
  expect([5, 65, 3700, 90_000].map(formatSpan)).toEqual(['5 s', '1 min 5 s', '1 h 1 min', '1 d 1 h']);
});
