import { describe, expect, test } from 'vitest';
import { MAX_VIEWERS, Snapshots } from '../../src/admin/snapshots.ts';
import type { Close } from '../../src/protocol/close-codes.ts';
import type { Snapshot } from '../../src/protocol/snapshot.ts';
import {
  DROPPED,
  type HttpAnswer,
  isStream,
  QUEUED,
  SENT,
  type SendStatus,
  type Socket,
  type SocketListener,
} from '../../src/transport/transport.ts';
import { VirtualTime } from '../simulation/virtual.ts';

/** The connection of a viewer, which accepts nothing while it is `stalled`. */
class ViewerSocket implements Socket {
  readonly bufferedAmount = 0;
  readonly remoteAddress = '';
  stalled = false;
  closedWith: Close | undefined;
  readonly #sent: string[] = [];

  send(bytes: Uint8Array): SendStatus {
    if (this.closedWith) return DROPPED;
    this.#sent.push(Buffer.from(bytes).toString());
    return this.stalled ? QUEUED : SENT;
  }

  /** The numbers of the snapshots that it was sent. */
  get snapshots(): number[] {
    return this.#sent.flatMap((event) => {
      const data = /^event: snapshot\ndata: (.*)\n\n$/.exec(event)?.[1];
      return data === undefined ? [] : [JSON.parse(data).at as number];
    });
  }

  get first(): string | undefined {
    return this.#sent[0];
  }

  close(close: Close): void {
    this.closedWith ??= close;
  }

  ping(): void {}
  cork(work: () => void): void {
    work();
  }
}

function setUp(compute?: () => Promise<Snapshot>) {
  const time = new VirtualTime();
  const errors: unknown[] = [];
  let computed = 0;
  const snapshots = new Snapshots({
    compute: compute ?? (async () => ({ at: ++computed }) as Snapshot),
    clock: time,
    scheduler: time,
    failed: (error) => errors.push(error),
  });
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 100) {
      time.advance(100);
      await settled();
    }
  };
  const watch = (isAllowed = () => true) => open(snapshots.watch(isAllowed));
  return { time, snapshots, errors, pass, watch, computed: () => computed };
}

function open(answer: HttpAnswer): { socket: ViewerSocket; listener: SocketListener } {
  if (!isStream(answer)) throw new Error(`the answer is ${answer.status}`);
  const socket = new ViewerSocket();
  answer.listener.open(socket);
  return { socket, listener: answer.listener };
}

describe('snapshots', () => {
  test('are computed once a second for all viewers', async () => {
    const { pass, watch, computed } = setUp();
    const viewers = [watch(), watch(), watch()];
    await pass(4_500);
    expect(computed()).toBe(5);
    for (const { socket } of viewers) expect(socket.snapshots).toEqual([1, 2, 3, 4, 5]);
    expect(viewers[0]?.socket.first).toBe('retry: 2000\n\n');
  });

  test('are not computed without viewers', async () => {
    const { time, pass, watch, computed } = setUp();
    await pass(3_000);
    expect(computed()).toBe(0);
    const { listener } = watch();
    await pass(1_500);
    listener.close(1006, '');
    expect(time.timers).toBe(0);
    await pass(5_000);
    expect(computed()).toBe(2);
    const again = watch();
    await pass(100);
    expect(again.socket.snapshots).toEqual([3]);
  });

  test('are computed for single requests at most once a second', async () => {
    const { snapshots, pass, computed } = setUp();
    const both = await Promise.all([snapshots.latest(), snapshots.latest()]);
    expect(both).toEqual(['{"at":1}', '{"at":1}']);
    await pass(900);
    expect(await snapshots.latest()).toBe('{"at":1}');
    await pass(100);
    expect(await snapshots.latest()).toBe('{"at":2}');
    expect(computed()).toBe(2);
  });

  test('start with the last one, if it is less than a second old', async () => {
    const { pass, watch } = setUp();
    const early = watch();
    await pass(500);
    const late = watch();
    expect(late.socket.snapshots).toEqual([1]);
    await pass(1_000);
    expect([early, late].map(({ socket }) => socket.snapshots)).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });

  test('are left out for a viewer that accepts nothing, which is cut after ten seconds', async () => {
    const { pass, watch } = setUp();
    const [slow, lost, fast] = [watch(), watch(), watch()];
    await pass(500);
    slow.socket.stalled = true;
    lost.socket.stalled = true;
    await pass(5_000);
    slow.socket.stalled = false;
    slow.listener.drain();
    await pass(1_000);
    expect(slow.socket.snapshots).toEqual([1, 2, 7]);
    await pass(4_500);
    expect(lost.socket.snapshots).toEqual([1, 2]);
    expect(lost.socket.closedWith?.code).toBe(1006);
    expect(slow.socket.closedWith).toBeUndefined();
    expect(fast.socket.snapshots).toHaveLength(12);
  });

  test('have a bounded number of viewers', async () => {
    const { snapshots, watch } = setUp();
    const late = snapshots.watch(() => true);
    const viewers = Array.from({ length: MAX_VIEWERS }, () => watch());
    expect(snapshots.watch(() => true)).toMatchObject({ status: 503, headers: { 'Retry-After': '5' } });
    expect(open(late).socket.closedWith?.code).toBe(1013);
    viewers[0]?.listener.close(1006, '');
    expect(watch().socket.closedWith).toBeUndefined();
  });

  test('end for a viewer whose key is removed, and for all when the server stops', async () => {
    const { snapshots, pass, watch } = setUp();
    let isAllowed = true;
    const [removed, other] = [watch(() => isAllowed), watch()];
    await pass(1_500);
    isAllowed = false;
    await pass(1_000);
    expect(removed.socket.snapshots).toEqual([1, 2]);
    expect(removed.socket.closedWith?.code).toBe(4501);
    expect(other.socket.snapshots).toEqual([1, 2, 3]);
    snapshots.close();
    expect(other.socket.closedWith?.code).toBe(1001);
    await pass(2_000);
    expect(other.socket.snapshots).toEqual([1, 2, 3]);
  });

  test('go on after one that could not be computed', async () => {
    let computed = 0;
    const { snapshots, errors, pass, watch } = setUp(async () => {
      if (++computed % 2 === 1) throw new Error('no survey');
      return { at: computed } as Snapshot;
    });
    const { socket } = watch();
    await pass(3_500);
    expect(socket.snapshots).toEqual([2, 4]);
    expect(errors).toHaveLength(2);
    await pass(1_000);
    await expect(snapshots.latest()).resolves.toBe('{"at":6}');
  });

  test('do not overlap where one takes longer than a second', async () => {
    let [running, most] = [0, 0];
    const waiting: (() => void)[] = [];
    const { pass, watch } = setUp(async () => {
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => waiting.push(resolve));
      running--;
      return { at: 1 } as Snapshot;
    });
    const { socket } = watch();
    for (let i = 0; i < 3; i++) {
      await pass(2_500);
      for (const finish of waiting.splice(0)) finish();
      await settled();
    }
    expect(most).toBe(1);
    expect(socket.snapshots).toHaveLength(3);
  });
});

/** Resolves after the reactions to settled promises. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
