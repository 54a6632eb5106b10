import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { partsOf } from '../../web/app/state/links.ts';
import { bytesOver, trimDraft } from '../../web/app/state/outgoing.ts';
import { rowsOf } from '../../web/app/state/rows.ts';
import type { Entry, MessageEntry } from '../../web/app/state/timeline.ts';
import {
  connectionText,
  formatDay,
  formatNames,
  missingText,
  presenceText,
  typingText,
  visibleName,
} from '../../web/app/view/format.ts';

describe('links', () => {
  test('splits a text into parts that concatenate to it, with http(s) links only', () => {
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
  ])('finds the links in %j', (text, links) => {
    expect(partsOf(text).flatMap(({ text: part, href }) => (href === undefined ? [] : [part]))).toEqual(links);
  });
});

describe('a draft', () => {
  test.each([
    ['  indented\n  code \n\n', '  indented\n  code'],
    ['\n\n  a', '  a'],
    [' \n\t ', ''],
    ['\u3000', ''],
  ])('%j is trimmed to %j', (draft, text) => {
    expect(trimDraft(draft)).toBe(text);
  });

  test('is measured in bytes of the encoded frame', () => {
    const limits = { message: 200, roomName: 128, rooms: 128, history: 1000 };
    const free = -bytesOver('', 'lobby', limits);
    expect(bytesOver('é'.repeat(10), 'lobby', limits)).toBe(20 - free);
    expect(bytesOver('\n', 'lobby', limits)).toBe(2 - free);
    expect(bytesOver('x'.repeat(1_000_000), 'lobby', undefined)).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe('the rows of the log', () => {
  const at = new Date(2026, 10, 21, 23, 50).getTime();
  const minute = 60_000;
  const message = (seq: number, from: string, minutes: number): MessageEntry => ({
    kind: 'message',
    key: `e:${seq}`,
    epoch: 'e',
    seq,
    id: '',
    from,
    at: at + minutes * minute,
    text: '',
  });
  const layout = (entries: readonly Entry[], seen?: { epoch: string; seq: number }) =>
    rowsOf(entries, ({ from }) => ({ name: from, number: 1, own: from === 'me' }), seen).map((row) =>
      row.kind === 'message' ? (row.first ? row.message.from : '·') : row.kind,
    );

  test('group messages of one author within five minutes and on one day', () => {
    const entries = [
      message(1, 'ada', 0),
      message(2, 'ada', 4),
      message(3, 'bob', 5),
      message(4, 'ada', 6),
      message(5, 'ada', 9),
      message(6, 'ada', 11),
      message(7, 'ada', 16),
    ];
    expect(layout(entries)).toEqual(['day', 'ada', '·', 'bob', 'ada', '·', 'day', 'ada', 'ada']);
  });

  test('mark the first unread message of another user', () => {
    const entries = [message(1, 'ada', 0), message(2, 'me', 1), message(3, 'ada', 2), message(4, 'ada', 3)];
    expect(layout(entries, { epoch: 'e', seq: 1 })).toEqual(['day', 'ada', 'me', 'unread', 'ada', '·']);
    expect(layout(entries, { epoch: 'e', seq: 4 })).toEqual(['day', 'ada', 'me', 'ada', '·']);
  });

  test('never mark a lost message as unread', () => {
    const lost = { ...message(2, 'ada', 1), lost: true } as const;
    const report = { kind: 'missing', key: 'l', epoch: 'f', from: 2, to: 1, lost: true, lostCount: 1 } as const;
    const entries = [{ ...message(1, 'ada', 0), epoch: 'f' }, lost, report, { ...message(2, 'ada', 2), epoch: 'f' }];
    expect(layout(entries, { epoch: 'f', seq: 1 })).toEqual(['day', 'ada', '·', 'missing', 'unread', 'ada']);
  });

  test('end a group at a note', () => {
    const note = { kind: 'note', key: 'n', text: '' } as const;
    expect(layout([message(1, 'ada', 0), note, message(2, 'ada', 1)])).toEqual(['day', 'ada', 'note', 'ada']);
  });
});

describe('texts', () => {
  test('list names, and shorten a long list', () => {
    expect(formatNames(['a'])).toBe('a');
    expect(formatNames(['a', 'b'])).toBe('a and b');
    expect(formatNames(['a', 'b', 'c', 'd'])).toBe('a, b, c and d');
    expect(formatNames(['a', 'b', 'c', 'd', 'e'])).toBe('a, b, c and 2 others');
    expect(presenceText({ kind: 'presence', key: '', joined: ['a'], left: ['b', 'c'] })).toBe(
      'a joined · b and c left',
    );
    expect(typingText(['a'])).toBe('a is typing…');
    expect(typingText(['a', 'b', 'c', 'd'])).toBe('Several people are typing…');
  });

  test('report missing and lost messages', () => {
    const missing = { kind: 'missing', key: '', epoch: 'e', from: 2, to: 4, lost: false } as const;
    expect(missingText(missing)).toBe('3 messages are missing');
    expect(missingText({ ...missing, to: 2, lost: true })).toBe('1 message is no longer available');
    const lost = { ...missing, to: 1, lost: true };
    expect(missingText({ ...lost, lostCount: 1 })).toBe('1 message is no longer stored: lost when the server moved');
    expect(missingText({ ...lost, lostCount: 3 })).toBe('3 messages are no longer stored: lost when the server moved');
  });

  test('replace invisible characters in a name', () => {
    expect(visibleName('a\u202Eb\u200bc\n')).toBe('a\ufffdb\ufffdc\ufffd');
  });

  test('name a day relative to today', () => {
    const now = new Date(2026, 2, 29, 0, 30).getTime();
    expect(formatDay(now, now)).toBe('Today');
    expect(formatDay(now - 60 * 60_000, now)).toBe('Yesterday');
    expect(formatDay(new Date(2026, 2, 27, 23).getTime(), now)).toMatch(/27/);
    expect(formatDay(new Date(2025, 2, 27).getTime(), now)).toMatch(/2025/);
  });

  test('describe each state of the connection', () => {
    const text = (connection: Parameters<typeof connectionText>[0], context = {}) =>
      connectionText(connection, { reconnect: false, evicted: false, pending: 0, ...context }, 1_000);
    expect(text({ name: 'connecting' })).toBe('Connecting…');
    expect(text({ name: 'connecting' }, { pending: 2, reconnect: true })).toBe('Reconnecting… · 2 unsent');
    const lost = { name: 'reconnecting', in: 0, until: 3_500 } as const;
    expect(text({ ...lost, why: 'the connection was lost' })).toBe('Reconnecting in 3 s');
    expect(text({ ...lost, why: 'the server is shutting down' })).toBe(
      'The server is shutting down. Reconnecting in 3 s',
    );
    expect(text({ ...lost, why: 'reading too slowly; resume' }, { evicted: true })).toBe(
      'Disconnected because the page fell behind. Reconnecting in 3 s',
    );
    expect(text({ name: 'offline', why: '' }, { pending: 1 })).toBe('Offline · 1 unsent');
    const rejected = { name: 'waiting', in: 0, why: 'too many connections', code: 4005 } as const;
    expect(text({ ...rejected, until: 91_000 })).toBe('Too many connections. Trying again in 90 s');
    expect(text({ ...rejected, until: 92_000 }, { pending: 1 })).toBe(
      'Too many connections. Trying again in 2 min · 1 unsent',
    );
    expect(text({ name: 'refused', why: 'not signed in', code: 4501 })).toBe('Disconnected: not signed in');
  });
});
