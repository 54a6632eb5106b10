import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { memory } from '../../src/engine/memory.ts';
import type { Commit, Draft, Engine, LogRecord } from '../../src/hub/ports.ts';

const retention = { records: 40, bytes: 1000 };
const engines: [string, () => Engine][] = [['memory', () => memory({ retention, date: () => 1234 })]];

const draft = (room: string, data: string): Draft => ({
  room,
  from: 'a',
  id: '',
  data,
  bytes: Buffer.byteLength(data),
});

async function opened(make: () => Engine): Promise<{ engine: Engine; commits: Commit[] }> {
  const engine = make();
  const commits: Commit[] = [];
  await engine.open({ committed: (commit) => commits.push(commit), failed: () => {} });
  return { engine, commits };
}

describe.each(engines)('the %s engine', (_name, make) => {
  test('gives each room contiguous seqs in the order of the drafts, and commits each once', async () => {
    const { engine, commits } = await opened(make);
    const batches = fc.array(
      fc.tuple(fc.constantFrom('x', 'y'), fc.array(fc.string(), { minLength: 1, maxLength: 20 })),
    );
    fc.assert(
      fc.property(batches, (script) => {
        commits.length = 0;
        const start = { x: engine.position('x').seq, y: engine.position('y').seq };
        for (const [room, texts] of script)
          engine.append(
            room,
            texts.map((text) => draft(room, text)),
          );
        for (const room of ['x', 'y'] as const) {
          const records = commits.filter((commit) => commit.room === room).flatMap((commit) => commit.records);
          const sent = script.filter(([to]) => to === room).flatMap(([, texts]) => texts);
          expect(records.map(({ data }) => data)).toEqual(sent);
          expect(records.map(({ seq }) => seq)).toEqual(sent.map((_, i) => start[room] + i + 1));
          expect(engine.position(room).seq).toBe(start[room] + sent.length);
        }
      }),
    );
  });

  test('reads back what it retains, after any place, up to a limit', async () => {
    const { engine, commits } = await opened(make);
    for (let i = 0; i < 300; i++) engine.append('x', [draft('x', `${i}`)]);
    const all = commits.flatMap((commit) => commit.records) as LogRecord[];
    const tail = engine.read('x', 0, 1000);
    expect(tail.length).toBeGreaterThanOrEqual(retention.records);
    expect(tail).toEqual(all.slice(-tail.length));
    expect(engine.read('x', 290, 5)).toEqual(all.slice(290, 295));
    expect(engine.read('x', 300, 5)).toEqual([]);
    expect(engine.read('nowhere', 0, 5)).toEqual([]);
  });

  test('bounds what it retains by records and by bytes, but keeps the newest', async () => {
    const { engine } = await opened(make);
    for (let i = 0; i < 500; i++) engine.append('x', [draft('x', 'x'.repeat(i % 90))]);
    const kept = engine.read('x', 0, 1000);
    expect(kept.length).toBeLessThanOrEqual(retention.records * 1.125);
    expect(kept.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(retention.bytes * 1.125);
    engine.append('x', [draft('x', 'y'.repeat(5000))]);
    expect(engine.read('x', 0, 1000).at(-1)?.bytes).toBe(5000);
  });

  test('keeps the epoch while it keeps the room, and stamps each record', async () => {
    const { engine, commits } = await opened(make);
    const { epoch } = engine.position('x');
    engine.append('x', [draft('x', 'one')]);
    expect(engine.position('x')).toEqual({ epoch, seq: 1, first: 1 });
    expect(engine.position('y').epoch).not.toBe(epoch);
    expect(commits[0]?.records[0]).toMatchObject({ at: 1234, from: 'a', data: 'one', bytes: 3 });
  });
});

test('the memory engine forgets a room that is released: its next life has another epoch', async () => {
  const { engine } = await opened(() => memory());
  engine.append('x', [draft('x', 'one')]);
  const { epoch } = engine.position('x');
  engine.release('x');
  expect(engine.position('x').seq).toBe(0);
  expect(engine.position('x').epoch).not.toBe(epoch);
  await engine.close();
});
