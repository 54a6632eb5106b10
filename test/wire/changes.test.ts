import { describe, expect, test } from 'vitest';
import type { LogRecord } from '../../src/hub/log.ts';
import { blueprints } from '../../src/wire/blueprints.ts';
import { coder } from '../../src/wire/coder.ts';
import { createStreamWires } from '../../src/wire/event-streams.ts';
import { events } from '../../src/wire/events.ts';
import { goWebsockets, goWebsocketsBasic } from '../../src/wire/go-websockets.ts';
import { gorilla } from '../../src/wire/gorilla.ts';
import { spread } from '../../src/wire/spread.ts';
import { v1 } from '../../src/wire/v1.ts';

const base = { at: 1795250403071, from: 'ada', sender: 's', id: '', json: true, bytes: 9 };
const change = (seq: number, op: 'edit' | 'delete' | 'react' | 'unreact', data: string, more = {}): LogRecord => ({
  ...base,
  seq,
  data,
  json: op === 'edit',
  extra: { kind: 'change', op, of: 1, ...more },
});
const edited = { kind: 'message', changed: 3, edited: 3 } as const;
const log: readonly LogRecord[] = [
  { ...base, seq: 1, data: '{"text":"new"}', extra: edited },
  change(2, 'react', 'x'),
  change(3, 'edit', '{"text":"new"}'),
  { ...base, seq: 4, data: '', json: false, extra: { kind: 'message', changed: 5, deleted: true } },
  change(5, 'delete', ''),
  { ...base, seq: 6, data: '{"text":"after"}' },
  change(7, 'edit', '', { replaced: true }),
  change(8, 'unreact', 'x'),
];
const records = { head: log.length, at: (seq: number) => log[seq - 1] as LogRecord };

/** Returns everything that a wire sends for the log, as the Hub asks for it. */
function shown(wire: Pick<ReturnType<typeof v1>, 'encode'>): string[] {
  const texts: string[] = [];
  for (let at = 0; at < records.head; ) {
    const { bytes, more = [], from, to, isSilent } = wire.encode('lobby', records, at, 1e6, 'e');
    expect([from, to > at, isSilent === true]).toEqual([at, true, isSilent === true]);
    if (!isSilent) for (const each of [bytes, ...more]) texts.push(Buffer.from(each).toString());
    if (isSilent) expect([bytes.byteLength, more]).toEqual([0, []]);
    at = to;
  }
  return texts;
}

describe('a client that knows no changes is shown edits as messages, and nothing for the rest', () => {
  const texts = ['new', '(edited) new', 'after'];
  test.each([
    ['gorilla', gorilla(), [texts.join('\n')]],
    ['coder', coder(), texts],
    ['blueprints', blueprints(), texts],
    ['go-websockets-basic', goWebsocketsBasic(), texts],
    ['spread', spread(), texts.map((msg) => JSON.stringify({ name: 'ada', msg }))],
  ])('%s', (_, wire, expected) => {
    expect(shown(wire)).toEqual(expected);
  });

  test.each([
    ['events', events(), 'payload'],
    ['go-websockets', goWebsockets(), ''],
  ])('%s', (_, wire, field) => {
    const objects = shown(wire).map((text) => JSON.parse(text));
    expect(objects.map((object) => (field ? object[field] : object).message)).toEqual(texts);
  });

  test.each([
    ['v1', v1()],
    ['sse', createStreamWires().room],
    ['v1-sse', createStreamWires().session],
  ])('%s', (name, wire) => {
    const all = shown(wire).join('\n');
    const messages = [...all.matchAll(/\{"t".*\}/g)].map(([line]) => JSON.parse(line));
    expect(messages.map(({ t, seq, data }) => [t, seq, data.text])).toEqual([
      ['message', 1, 'new'],
      ['message', 3, '(edited) new'],
      ['message', 6, 'after'],
    ]);
    const ids = [...all.matchAll(/^id: (.*)$/gm)].map(([, id]) => id);
    expect(ids).toEqual(name === 'sse' ? ['e:1', 'e:3', 'e:6'] : []);
  });
});

test.each([
  ['v1', v1()],
  ['v1-sse', createStreamWires().session],
])('%s shows everything to a client that knows changes', (_, wire) => {
  const all = shown(wire.withChanges as typeof wire).join('\n');
  const messages = [...all.matchAll(/\{"t".*\}/g)].map(([line]) => JSON.parse(line));
  expect(messages.map(({ t, seq }) => [t, seq])).toEqual(
    log.map(({ seq, extra }) => [extra?.kind === 'change' ? 'change' : 'message', seq]),
  );
  expect(messages[3]).not.toHaveProperty('data');
  expect(messages[3]).toMatchObject({ deleted: true, changed: 5 });
  expect(messages[6]).not.toHaveProperty('data');
});
