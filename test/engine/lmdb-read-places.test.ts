import { mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LmdbReadPlaces } from '../../src/engine/lmdb-read-places.ts';
import { READ_PLACE_MS } from '../../src/hub/cluster.ts';
import { LocalReadPlaces } from '../../src/server/local-cluster.ts';
import { until } from '../integration/server.ts';

let path: string;
let places: LmdbReadPlaces | undefined;
let now = 0;
const errors: Error[] = [];

beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'pumphouse-read-'));
  now = Date.now();
});
afterEach(async () => {
  await places?.close();
  places = undefined;
  rmSync(path, { recursive: true });
  expect(errors.splice(0)).toEqual([]);
});

function open(): LmdbReadPlaces {
  places = new LmdbReadPlaces({ path, onError: (error) => errors.push(error), date: () => now });
  return places;
}

async function reopen(): Promise<LmdbReadPlaces> {
  await places?.close();
  return open();
}

test('keeps the same places as those in memory, across restarts', async () => {
  const user = fc.constantFrom('ada', 'bob', 'x'.repeat(64));
  const room = fc.constantFrom('r', '"', 'r'.repeat(128));
  const place = fc.record({ epoch: fc.constantFrom('e1', 'e2'), seq: fc.nat(5) });
  const move = fc.tuple(user, room, place);
  const command = fc.oneof({ weight: 9, arbitrary: move }, { weight: 1, arbitrary: fc.constant('restart' as const) });
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 40 }), async (commands) => {
      rmSync(join(path, 'read-places.mdb'), { force: true });
      rmSync(join(path, 'read-places.mdb-lock'), { force: true });
      const model = new LocalReadPlaces();
      let stored = open();
      for (const command of commands) {
        if (command === 'restart') stored = await reopen();
        else for (const each of [model, stored]) each.move(...command);
      }
      for (const name of ['ada', 'bob', 'x'.repeat(64)]) {
        for (const room of ['r', '"', 'r'.repeat(128)]) expect(stored.find(name, room)).toEqual(model.find(name, room));
      }
      await stored.close();
      places = undefined;
    }),
    { numRuns: 30 },
  );
});

test('drops places that have not moved for 400 days', async () => {
  const places = open();
  for (let i = 0; i < 2_500; i++) places.move('ada', `r${i}`, { epoch: 'e', seq: 1 });
  await places.close();
  now += READ_PLACE_MS / 2;
  (await reopen()).move('ada', 'r2400', { epoch: 'e', seq: 2 });
  await reopen();
  now += READ_PLACE_MS / 2 + 1;
  const later = await reopen();
  await until(
    'they are dropped',
    () => later.find('ada', 'r0') === undefined && later.find('ada', 'r999') === undefined,
  );
  expect(later.find('ada', 'r2400')).toEqual({ epoch: 'e', seq: 2 });
});

test('rejects a damaged file with one line', async () => {
  const places = open();
  for (let i = 0; i < 1_000; i++) places.move('ada', `r${i}`, { epoch: 'e', seq: 1 });
  await places.close();
  truncateSync(join(path, 'read-places.mdb'), 8192);
  expect(() => new LmdbReadPlaces({ path, onError: () => {} })).toThrow(/read-places\.mdb is truncated$/);
});
