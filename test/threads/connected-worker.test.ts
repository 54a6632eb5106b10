import { expect, test } from 'vitest';
import type { LogRecord } from '../../src/hub/log.ts';
import { ConnectedWorker, type WorkerAttachment } from '../../src/threads/connected-worker.ts';
import { FrameDecoder } from '../../src/threads/frame-decoder.ts';
import { FrameEncoder } from '../../src/threads/frames.ts';
import { createRings, LogLink, WorkerLink } from '../../src/threads/link.ts';
import type { LogMethods, WorkerMethods } from '../../src/threads/log-methods.ts';
import { VirtualTime } from '../simulation/virtual.ts';

const silent = { post() {}, receive() {} };

/** A worker whose ring is full, and which has attached a room. */
function fullWorker() {
  const time = new VirtualTime();
  const rings = createRings(2048);
  const link = new LogLink<WorkerMethods, LogMethods>(silent, rings, time);
  const worker = new ConnectedWorker<WorkerAttachment>(1, link);
  const attachment = { number: 7, moves: 0, leftOut: undefined, lastCommit: 0 };
  worker.attachments.set(7, attachment);
  const filler = new FrameEncoder();
  filler.decided(7, [{ kind: 'failed' }]);
  while (link.write(filler.buffer, filler.length));
  const commit = (seq: number) => {
    const record: LogRecord = { seq, at: 0, from: 'a', sender: 's', id: '', data: 'x', json: false, bytes: 1 };
    const frame = new FrameEncoder();
    frame.committed(7, [record], 1, 0, link.maxFrame);
    worker.writeCommit(attachment, frame, seq);
  };
  const move = (epoch: string, seq: number) => worker.moved(attachment, { epoch, seq, first: 1 });
  /** Reads the ring, whose room then takes what waits. @returns what the worker is told. */
  const read = () => {
    const told: string[] = [];
    const decoder = new FrameDecoder();
    const frames = {
      committed: (_: number, records: readonly LogRecord[]) => told.push(`committed ${records[0]?.seq}`),
      decided() {},
      moved: (_: number, { epoch, seq }: { epoch: string; seq: number }) => told.push(`moved ${epoch} ${seq}`),
      skipped() {},
      behind: (_: number, seq: number) => told.push(`behind ${seq}`),
    };
    const reader = new WorkerLink<LogMethods, WorkerMethods>(silent, rings, time, time);
    const received = (buffer: Buffer, start: number, end: number) => decoder.receiveDown(buffer, start, end, frames);
    reader.listen({ received, writable() {} });
    worker.writeWaiting();
    time.settle();
    new WorkerLink<LogMethods, WorkerMethods>(silent, rings, time, time).listen({ received, writable() {} });
    return told;
  };
  return { worker, commit, move, read };
}

test('a worker is told how far to read by the life of the log in which its ring was full', () => {
  const { worker, commit, move, read } = fullWorker();
  commit(1);
  commit(2);
  move('b', 1);
  commit(2);
  commit(3);
  move('c', 3); // the log is shorter than in the life before by the time that the worker hears of it
  move('d', 0);
  expect(worker.dropped).toBe(4);
  expect(read()).toEqual(['behind 2', 'moved b 1', 'behind 3', 'moved c 3', 'moved d 0']);
  commit(1);
  expect(read()).toEqual(['committed 1']);
});
