import { expect, test } from 'vitest';
import type { Commit, Engine, EngineListener, Position } from '../../src/hub/engine.ts';
import { type TapListener, TappedEngine } from '../../src/webhooks/room-tap.ts';

/** An engine whose attachments resolve when the test says so. */
class SlowEngine implements Engine {
  readonly calls: string[] = [];
  listener!: EngineListener;
  heads = new Map<string, number>();
  #waiting: (() => void)[] = [];

  open(listener: EngineListener): void {
    this.listener = listener;
  }

  attach(room: string): Promise<Position> {
    this.calls.push(`attach ${room}`);
    return new Promise((resolve, reject) =>
      this.#waiting.push(() => (room === 'bad' ? reject(new Error('away')) : resolve(this.position(room)))),
    );
  }

  /** The rooms that are being attached are attached. */
  async answer(): Promise<void> {
    for (const answer of this.#waiting.splice(0)) answer();
    await new Promise((resolve) => setImmediate(resolve));
  }

  position(room: string): Position {
    return { epoch: 'e', seq: this.heads.get(room) ?? 0, first: 1 };
  }

  commit(room: string): void {
    const seq = (this.heads.get(room) ?? 0) + 1;
    this.heads.set(room, seq);
    const record = { seq, at: 0, from: 'a', sender: '', id: '', data: '1', json: true, bytes: 1 };
    this.listener.committed({ room, records: [record], own: false });
  }

  append(): void {}
  read = () => [];

  release(room: string): void {
    this.calls.push(`release ${room}`);
  }

  close(): void {}
}

function start(follows = (room: string) => room !== 'other') {
  const engine = new SlowEngine();
  const taps: string[] = [];
  let created = Promise.resolve();
  const tap: TapListener<string> = {
    attached: (room, { seq }) => {
      taps.push(`attached ${room} at ${seq}`);
      return created;
    },
    follower: (room) => (follows(room) ? 'webhook' : undefined),
    committed: (follower, room, epoch, records) => taps.push(`${follower}: ${room} ${epoch} ${records.at(-1)?.seq}`),
    stored: (_, room) => taps.push(`stored ${room}`),
    moved: (_, room, before) => taps.push(`moved ${room} from ${before.epoch} ${before.seq}`),
    released: (room) => taps.push(`released ${room}`),
    changed: (state) => taps.push(state),
  };
  const tapped = new TappedEngine(engine, tap);
  const commits: string[] = [];
  void tapped.open({
    committed: ({ room, records }: Commit) => commits.push(`${room} ${records.at(-1)?.seq}`),
    decided() {},
    moved: ({ room }) => commits.push(`moved ${room}`),
    skipped: ({ room }) => commits.push(`skipped ${room}`),
    changed() {},
  });
  return {
    engine,
    tapped,
    taps,
    commits,
    holdCreation: () => {
      let release = () => {};
      created = new Promise((resolve) => (release = resolve));
      return () => release();
    },
  };
}

test('attaches a room once for its user and the holds, and releases it with the last', async () => {
  const { engine, tapped, taps } = start();
  const positions = Promise.all([tapped.hold('r'), tapped.attach('r'), tapped.hold('r')]);
  await engine.answer();
  expect((await positions).map(({ seq }) => seq)).toEqual([0, 0, 0]);
  tapped.release('r');
  tapped.release('r'); // counts once
  tapped.unhold('r');
  expect(engine.calls).toEqual(['attach r']);
  tapped.unhold('r');
  expect(engine.calls).toEqual(['attach r', 'release r']);
  expect(taps).toEqual(['attached r at 0', 'released r']);
});

test('reports to its user what follows the position, and nothing of rooms that are only held', async () => {
  const { engine, tapped, taps, commits, holdCreation } = start();
  const finishCreation = holdCreation();
  void tapped.hold('r');
  await engine.answer();
  engine.commit('r'); // while the cursors are created
  finishCreation();
  await new Promise((resolve) => setImmediate(resolve));
  engine.commit('r');
  expect(commits).toEqual([]);
  expect(await tapped.attach('r')).toMatchObject({ seq: 2 });
  engine.commit('r');
  engine.listener.moved({ room: 'r', epoch: 'f', seq: 1 });
  expect(commits).toEqual(['r 3', 'moved r']);
  tapped.release('r');
  engine.listener.skipped({ room: 'r', epoch: 'f', seq: 9 });
  expect(commits).toHaveLength(2);
  expect(taps).toEqual([
    'attached r at 0',
    'webhook: r e 1',
    'webhook: r e 2',
    'webhook: r e 3',
    'moved r from e 3',
    'moved r from f 1',
  ]);
});

test('a room that cannot be attached is attached anew, and is not released', async () => {
  const { engine, tapped } = start();
  const failing = [tapped.attach('bad'), tapped.hold('bad')].map((one) => expect(one).rejects.toThrow('away'));
  await engine.answer();
  await Promise.all(failing);
  const again = expect(tapped.attach('bad')).rejects.toThrow('away');
  await engine.answer();
  await again;
  expect(engine.calls).toEqual(['attach bad', 'attach bad']);
});

test('leaves rooms alone that no webhook follows', async () => {
  const { engine, tapped, taps, commits } = start();
  void tapped.attach('other');
  await engine.answer();
  engine.commit('other');
  tapped.release('other');
  expect([taps, commits]).toEqual([[], ['other 1']]);
});

test('has what the engine below it has', () => {
  const engine = Object.assign(new SlowEngine(), { dedupes: true, divergedEnd: () => 7 });
  const tap = { follower: () => undefined } as unknown as TapListener<string>;
  const tapped = new TappedEngine(engine, tap);
  expect([tapped.dedupes, tapped.divergedEnd?.('r', 'e'), tapped.catchUp, tapped.cluster]).toEqual([
    true,
    7,
    undefined,
    undefined,
  ]);
});
