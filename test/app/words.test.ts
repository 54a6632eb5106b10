import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { partsOf } from '../../web/app/state/links.ts';
import { bytesOver, normal } from '../../web/app/state/outgoing.ts';
import { rowsOf } from '../../web/app/state/rows.ts';
import type { Entry, Said } from '../../web/app/state/timeline.ts';
import { comingWords, connectionWords, dayOf, listed, typingWords, visible } from '../../web/app/view/words.ts';

describe('links', () => {
  test('the parts are the text, and each link is one of its addresses', () => {
    const piece = fc.oneof(
      fc.string(),
      fc.webUrl({ withFragments: true, withQueryParameters: true }),
      fc.constantFrom('http://', 'https://', ' ', '(', ')', '.', '\u202E', '@'),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const text = pieces.join('');
        const parts = partsOf(text);
        expect(parts.map((part) => part.text).join('')).toBe(text);
        for (const { href } of parts) if (href !== undefined) expect(href).toMatch(/^https?:\/\/[^@/]+\//);
      }),
    );
  });

  test.each([
    ['see https://a.example.', ['https://a.example']],
    ['(https://a.example/b)', ['https://a.example/b']],
    ['https://a.example/b_(c)', ['https://a.example/b_(c)']],
    ['«https://a.example»', ['https://a.example']],
    ['https://a.example/?q=1&r=2#x, https://b.example!', ['https://a.example/?q=1&r=2#x', 'https://b.example']],
    ['https://bank.example@evil.example', []],
    ['javascript:alert(1)', []],
    ['xhttps://a.example', []],
    ['https://', []],
    ['https://a.example/\u202Egpj.exe', ['https://a.example/']],
  ])('%s', (text, links) => {
    expect(partsOf(text).flatMap(({ text: words, href }) => (href === undefined ? [] : [words]))).toEqual(links);
  });
});

describe('what is typed', () => {
  test.each([
    ['  indented\n  code \n\n', '  indented\n  code'],
    ['\n\n  a', '  a'],
    [' \n\t ', ''],
    ['\u3000', ''],
  ])('%j is said as %j', (typed, text) => {
    expect(normal(typed)).toBe(text);
  });

  test('how much is too long is counted in bytes of what goes over the wire', () => {
    const limits = { message: 200, roomName: 128, rooms: 128, history: 1000 };
    const free = -bytesOver('', 'lobby', limits);
    expect(bytesOver('é'.repeat(10), 'lobby', limits)).toBe(20 - free);
    expect(bytesOver('\n', 'lobby', limits)).toBe(2 - free);
    expect(bytesOver('x'.repeat(1_000_000), 'lobby', undefined)).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe('the rows', () => {
  const at = new Date(2026, 10, 21, 23, 50).getTime();
  const minute = 60_000;
  const said = (seq: number, from: string, minutes: number): Said => ({
    kind: 'said',
    key: `e:${seq}`,
    epoch: 'e',
    seq,
    id: '',
    from,
    at: at + minutes * minute,
    text: '',
  });
  const layout = (entries: readonly Entry[], seen?: { epoch: string; seq: number }) =>
    rowsOf(entries, 'me', seen).map((row) => (row.kind === 'message' ? (row.first ? row.said.from : '·') : row.kind));

  test('what one says within five minutes is a group, and a day begins another', () => {
    const entries = [
      said(1, 'ada', 0),
      said(2, 'ada', 4),
      said(3, 'bob', 5),
      said(4, 'ada', 6),
      said(5, 'ada', 9),
      said(6, 'ada', 11),
      said(7, 'ada', 16),
    ];
    expect(layout(entries)).toEqual(['day', 'ada', '·', 'bob', 'ada', '·', 'day', 'ada', 'ada']);
  });

  test('the line stands before the first message of others that was not seen', () => {
    const entries = [said(1, 'ada', 0), said(2, 'me', 1), said(3, 'ada', 2), said(4, 'ada', 3)];
    expect(layout(entries, { epoch: 'e', seq: 1 })).toEqual(['day', 'ada', 'me', 'unread', 'ada', '·']);
    expect(layout(entries, { epoch: 'e', seq: 4 })).toEqual(['day', 'ada', 'me', 'ada', '·']);
  });

  test('what the page says itself ends a group', () => {
    const note = { kind: 'note', key: 'n', text: '' } as const;
    expect(layout([said(1, 'ada', 0), note, said(2, 'ada', 1)])).toEqual(['day', 'ada', 'note', 'ada']);
  });
});

describe('in words', () => {
  test('names are listed, and of many only some', () => {
    expect(listed(['a'])).toBe('a');
    expect(listed(['a', 'b'])).toBe('a and b');
    expect(listed(['a', 'b', 'c', 'd'])).toBe('a, b, c and d');
    expect(listed(['a', 'b', 'c', 'd', 'e'])).toBe('a, b, c and 2 others');
    expect(comingWords({ kind: 'coming', key: '', joined: ['a'], left: ['b', 'c'] })).toBe('a joined · b and c left');
    expect(typingWords(['a'])).toBe('a is typing…');
    expect(typingWords(['a', 'b', 'c', 'd'])).toBe('Several people are typing…');
  });

  test('what cannot be seen in a name is shown', () => {
    expect(visible('a\u202Eb\u200bc\n')).toBe('a\ufffdb\ufffdc\ufffd');
  });

  test('days are named by how far they are', () => {
    const now = new Date(2026, 2, 29, 0, 30).getTime();
    expect(dayOf(now, now)).toBe('Today');
    expect(dayOf(now - 60 * 60_000, now)).toBe('Yesterday');
    expect(dayOf(new Date(2026, 2, 27, 23).getTime(), now)).toMatch(/27/);
    expect(dayOf(new Date(2025, 2, 27).getTime(), now)).toMatch(/2025/);
  });

  test('each state of the connection has its words', () => {
    const words = (connection: Parameters<typeof connectionWords>[0], circumstances = {}) =>
      connectionWords(connection, { again: false, cutOff: false, waiting: 0, ...circumstances }, 1_000);
    expect(words({ name: 'connecting' })).toBe('Connecting…');
    expect(words({ name: 'connecting' }, { waiting: 2, again: true })).toBe('Reconnecting…, 2 waiting');
    const lost = { name: 'reconnecting', in: 0, until: 3_500 } as const;
    expect(words({ ...lost, why: 'the connection was lost' })).toBe('Reconnecting in 3 s');
    expect(words({ ...lost, why: 'the server is shutting down' })).toBe(
      'The server is shutting down. Reconnecting in 3 s',
    );
    expect(words({ ...lost, why: 'reading too slowly; resume' }, { cutOff: true })).toBe(
      'Cut off for reading too slowly. Reconnecting in 3 s',
    );
    expect(words({ name: 'offline', why: '' }, { waiting: 1 })).toBe('Offline, 1 waiting');
    expect(words({ name: 'refused', why: 'not signed in', code: 4501 })).toBe('Refused: not signed in');
  });
});
