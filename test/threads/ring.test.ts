import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createRing, RingReader, RingWriter } from '../../src/threads/ring.ts';

const HEADER = 256;
const WRITE_WORD = 0;
const READ_WORD = 16;
const MAX_FRAMES = 8192 / 4;

const sizeInRing = (length: number) => 4 + Math.ceil(length / 4) * 4;

/** A ring whose positions have counted up to `position` already, a multiple of 4. */
function ringAt(position: number, bytes: number): SharedArrayBuffer {
  const memory = createRing(bytes);
  const words = new Int32Array(memory);
  words[WRITE_WORD] = position;
  words[READ_WORD] = position;
  return memory;
}

const pattern = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 7) ^ (i >> 5)));

/** Returns a frame whose bytes depend on its number. */
const frameOf = (number: number, length: number) => pattern.subarray(number * 37, number * 37 + length);

/** A queue that does what a ring should do. */
class Model {
  readonly frames: { readonly frame: Buffer; readonly size: number }[] = [];
  sleeps = true;
  waits = false;
  wakes = 0;
  writerWakes = 0;
  used = 0;
  readonly #bytes: number;
  #offset: number;

  constructor(position: number, bytes: number) {
    this.#bytes = bytes;
    this.#offset = position & (bytes - 1);
  }

  write(frame: Buffer): boolean {
    const toEnd = this.#bytes - this.#offset;
    const own = sizeInRing(frame.byteLength);
    const size = own > toEnd ? toEnd + own : own;
    if (size > this.#bytes - this.used) {
      this.waits = true;
      return false;
    }
    this.frames.push({ frame, size });
    this.used += size;
    this.#offset = (this.#offset + size) % this.#bytes;
    if (this.sleeps) this.wakes++;
    this.sleeps = false;
    return true;
  }

  /** @param stopAfter how many frames to read; the last one throws. */
  drain(maxBytes: number, stopAfter: number): { frames: Buffer[]; result: boolean | 'thrown' } {
    const frames: Buffer[] = [];
    let result: boolean | 'thrown' = false;
    for (let passed = 0; this.frames.length > 0; ) {
      if (passed >= maxBytes) {
        result = true;
        break;
      }
      const { frame, size } = this.frames.shift()!;
      frames.push(frame);
      passed += size;
      this.used -= size;
      if (frames.length === stopAfter) {
        result = 'thrown';
        break;
      }
    }
    if (result === false) this.sleeps = true;
    if (this.waits && this.used <= this.#bytes / 2) {
      this.waits = false;
      this.writerWakes++;
    }
    return { frames, result };
  }
}

const text = (frame: Buffer) => frame.toString('latin1');

class Thrown extends Error {}

/** Drains a ring and returns copies of the frames. */
function drain(reader: RingReader, maxBytes: number, stopAfter: number): ReturnType<Model['drain']> {
  const frames: Buffer[] = [];
  const receive = (buffer: Buffer, start: number, end: number) => {
    frames.push(Buffer.from(buffer.subarray(start, end)));
    if (frames.length > MAX_FRAMES) throw new Error('the ring passes more frames than it can have');
    if (frames.length === stopAfter) throw new Thrown();
  };
  try {
    return { frames, result: reader.drain(receive, maxBytes) };
  } catch (error) {
    if (!(error instanceof Thrown)) throw error;
    return { frames, result: 'thrown' };
  }
}

const size = fc.constantFrom(1024, 2048, 8192);

// Near 2^32 and 2^31, where positions and their differences change sign, and elsewhere.
const position = fc
  .tuple(fc.constantFrom(0, 2 ** 31, 2 ** 32), fc.integer({ min: -700, max: 700 }))
  .map(([base, words]) => (base + words * 4) | 0);

const length = (maxFrame: number) =>
  fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 0, max: 100 }) },
    { weight: 3, arbitrary: fc.integer({ min: 0, max: maxFrame }) },
    { weight: 1, arbitrary: fc.integer({ min: maxFrame - 4, max: maxFrame }) },
  );

describe('a ring in one thread', () => {
  const operation = (bytes: number) =>
    fc.oneof(
      { weight: 5, arbitrary: fc.record({ kind: fc.constant('write' as const), length: length(bytes / 2 - 4) }) },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('drain' as const),
          maxBytes: fc.oneof(fc.integer({ min: 0, max: bytes }), fc.constant(Number.POSITIVE_INFINITY)),
          stopAfter: fc.oneof({ weight: 6, arbitrary: fc.constant(-1) }, fc.integer({ min: 1, max: 5 })),
        }),
      },
    );
  const run = size.chain((bytes) =>
    fc.record({
      bytes: fc.constant(bytes),
      position,
      operations: fc.array(operation(bytes), { maxLength: 100, size: 'max' }),
    }),
  );

  test('passes the frames, returns and wakes as a queue of the same size does', () => {
    const seen = { skips: 0, wraps: 0, full: 0, throws: 0 };
    fc.assert(
      fc.property(run, ({ bytes, position, operations }) => {
        let wakes = 0;
        let writerWakes = 0;
        const memory = ringAt(position, bytes);
        const words = new Int32Array(memory);
        const writer = new RingWriter(memory, () => wakes++);
        const reader = new RingReader(memory, () => writerWakes++);
        const model = new Model(position, bytes);
        const actual: string[] = [];
        const expected: string[] = [];
        for (const [number, operation] of operations.entries()) {
          if (operation.kind === 'write') {
            const frame = frameOf(number, operation.length);
            const before = words[WRITE_WORD]!;
            // Every other frame is a prefix of a longer array.
            const isWritten = writer.write(number % 2 ? frame : pattern.subarray(number * 37), frame.byteLength);
            actual.push(`write ${number}: ${isWritten}`);
            expected.push(`write ${number}: ${model.write(frame)}`);
            if (!isWritten) seen.full++;
            else if (((words[WRITE_WORD]! - before) | 0) !== sizeInRing(frame.byteLength)) seen.skips++;
            if (words[WRITE_WORD]! < before) seen.wraps++;
          } else {
            const { maxBytes, stopAfter } = operation;
            const drained = drain(reader, maxBytes, stopAfter);
            if (drained.result === 'thrown') seen.throws++;
            actual.push(`drain ${number}: ${drained.result}`, ...drained.frames.map(text));
            const { result, frames } = model.drain(maxBytes, stopAfter);
            expected.push(`drain ${number}: ${result}`, ...frames.map(text));
          }
          actual.push(`wake-ups of reader and writer: ${wakes}, ${writerWakes}`);
          expected.push(`wake-ups of reader and writer: ${model.wakes}, ${model.writerWakes}`);
        }
        expect(actual).toEqual(expected);
      }),
      { numRuns: 300 },
    );
    expect(Math.min(...Object.values(seen)), `${JSON.stringify(seen)} of 300 runs`).toBeGreaterThan(20);
  });

  test('takes a frame of the greatest length at every offset when it is empty', () => {
    for (let offset = 0; offset < 1024; offset += 4) {
      const memory = ringAt(offset - 512, 1024);
      const writer = new RingWriter(memory, () => {});
      const frame = frameOf(offset, writer.maxFrame);
      expect(writer.write(frame, frame.byteLength), `at offset ${offset}`).toBe(true);
      const { frames, result } = drain(new RingReader(memory, () => {}), 1, -1);
      expect([result, ...frames.map(text)], `at offset ${offset}`).toEqual([false, text(frame)]);
    }
  });

  test('rejects a frame that is longer than the ring allows', () => {
    const writer = new RingWriter(createRing(2048), () => {});
    expect(writer.maxFrame).toBe(1020);
    expect(() => writer.write(Buffer.alloc(2000), 1021)).toThrow(
      new RangeError('a frame of 1021 bytes is longer than the ring allows, 1020 bytes'),
    );
  });

  test('rejects a length that the frame does not have', () => {
    const writer = new RingWriter(createRing(2048), () => {});
    expect(() => writer.write(Buffer.alloc(7), 8)).toThrow(new RangeError('the frame has 7 bytes, not 8'));
  });

  test.each([0, -1024, 512, 1000, 1025, 1536, 1024.5, 2 ** 31, Number.NaN])('has no size of %d bytes', (bytes) => {
    expect(() => createRing(bytes)).toThrow(RangeError);
  });

  test('rejects memory of another size', () => {
    expect(() => new RingReader(new SharedArrayBuffer(4096), () => {})).toThrow(RangeError);
    expect(() => new RingWriter(new SharedArrayBuffer(HEADER), () => {})).toThrow(RangeError);
  });
});

/**
 * Runs the code of one thread and, between its atomic operations and copies, tasks of the other
 * thread.
 */
class Interleaving {
  /** Tasks by the number of the step at which they run. */
  #tasks: ReadonlyMap<number, () => void> = new Map();
  #step = 0;
  #isActive = false;

  constructor() {
    for (const name of ['load', 'store', 'exchange'] as const) around(Atomics, name, this.step);
    around(Buffer.prototype, 'fill', this.step);
  }

  run(task: () => void, interruptions: ReadonlyMap<number, () => void>): void {
    this.#tasks = interruptions;
    this.#step = 0;
    this.#isActive = true;
    try {
      task();
    } finally {
      this.#isActive = false;
    }
  }

  readonly step = (): void => {
    if (!this.#isActive) return;
    const interruption = this.#tasks.get(this.#step++);
    if (!interruption) return;
    this.#isActive = false; // an interruption runs without interruptions
    interruption();
    this.#isActive = true;
  };
}

/** Has a method call `step` before and after it does its work. */
function around<T extends object>(target: T, name: keyof T & string, step: () => void): void {
  const method = target[name] as (...args: unknown[]) => unknown;
  vi.spyOn(target as Record<string, (...args: unknown[]) => unknown>, name).mockImplementation(function (
    this: unknown,
    ...args
  ) {
    step();
    const result = method.apply(this, args);
    step();
    return result;
  });
}

/** A writer with frames to send and a reader, each of which runs only when it has reason to. */
class World {
  readonly writer: RingWriter;
  readonly reader: RingReader;
  readonly #lengths: readonly number[];
  readonly #pause: () => void;
  #written = 0;
  #received = 0;
  #isReaderDue = false;
  #isWriterBlocked = false;

  /** @param pause is called while the reader has a frame. */
  constructor(bytes: number, position: number, lengths: readonly number[], pause: () => void) {
    const memory = ringAt(position, bytes);
    this.writer = new RingWriter(memory, () => {
      this.#isReaderDue = true;
    });
    this.reader = new RingReader(memory, () => {
      this.#isWriterBlocked = false;
    });
    this.#lengths = lengths;
    this.#pause = pause;
  }

  /** Writes at most `count` frames, unless the writer waits for room. */
  write(count: number): void {
    for (let i = 0; i < count && !this.#isWriterBlocked && this.#written < this.#lengths.length; i++) {
      const frame = frameOf(this.#written, this.#lengths[this.#written]!);
      this.#isWriterBlocked = true; // before the call, which may wake the writer
      if (!this.writer.write(frame, frame.byteLength)) return;
      this.#isWriterBlocked = false;
      this.#written++;
    }
  }

  /** Drains unless the reader sleeps. */
  read(maxBytes: number): void {
    if (!this.#isReaderDue) return;
    this.#isReaderDue = false; // before the call, which may be followed by a wake-up at once
    const isLeft = this.reader.drain((buffer, start, end) => {
      this.#pause();
      const frame = frameOf(this.#received, this.#lengths[this.#received]!);
      if (text(buffer.subarray(start, end)) !== text(frame)) throw new Error(`frame ${this.#received} is not the next`);
      this.#received++;
    }, maxBytes);
    if (isLeft) this.#isReaderDue = true;
  }

  /** Throws if a thread sleeps though it has something to do. */
  check(): void {
    const left = this.#written - this.#received;
    if (left > 0 && !this.#isReaderDue) throw new Error(`the reader sleeps beside ${left} frames`);
    if (left === 0 && this.#isWriterBlocked) throw new Error('the writer waits though the ring is empty');
  }
}

describe('a ring whose ends interrupt each other', () => {
  afterEach(() => vi.restoreAllMocks());

  const turn = (bytes: number) =>
    fc.record({
      isWriter: fc.boolean(),
      frames: fc.integer({ min: 1, max: 6 }),
      maxBytes: fc.integer({ min: 1, max: bytes }),
    });
  type Turn = { isWriter: boolean; frames: number; maxBytes: number };
  const take = (world: World, { isWriter, frames, maxBytes }: Turn) =>
    isWriter ? world.write(frames) : world.read(maxBytes);
  const bytes = 1024;
  const run = fc.record({
    position,
    lengths: fc.array(length(bytes / 2 - 4), { minLength: 40, maxLength: 40 }),
    turns: fc.array(
      fc.record({
        turn: turn(bytes),
        interruptions: fc.array(fc.tuple(fc.nat({ max: 30 }), turn(bytes)), { maxLength: 3 }),
      }),
      { maxLength: 20, size: 'max' },
    ),
  });

  test('passes every frame and loses no wake-up', { timeout: 60_000 }, () => {
    const interleaving = new Interleaving();
    fc.assert(
      fc.property(run, ({ position, lengths, turns }) => {
        const world = new World(bytes, position, lengths, interleaving.step);
        for (const { turn, interruptions } of turns) {
          const others = interruptions.map(
            ([step, other]) => [step, () => take(world, { ...other, isWriter: !turn.isWriter })] as const,
          );
          interleaving.run(() => take(world, turn), new Map(others));
          world.check();
        }
      }),
      { numRuns: 2000 },
    );
  });

  // More steps than one call takes.
  const steps = Array.from({ length: 12 }, (_, step) => step);

  test('wakes the writer for an earlier frame although a later one found room', () => {
    const interleaving = new Interleaving();
    let overtaken = 0;
    for (const step of steps) {
      let writerWakes = 0;
      const memory = createRing(1024);
      const writer = new RingWriter(memory, () => {});
      const reader = new RingReader(memory, () => writerWakes++);
      const write = (length: number) => writer.write(frameOf(0, length), length);
      while (write(96)); // 10 frames, and 24 bytes are left
      let result = false;
      const interruptions = new Map([[step, () => void drain(reader, 100, -1)]]);
      interleaving.run(() => {
        result = write(40);
      }, interruptions);
      if (result) overtaken++;
      expect(writerWakes, `at step ${step}`).toBe(0);
      drain(reader, 1024, -1);
      expect(writerWakes, `at step ${step}`).toBe(1);
    }
    expect(overtaken).toBeGreaterThan(0);
  });

  test('wakes no reader that found a frame at its last look', () => {
    const interleaving = new Interleaving();
    let found = 0;
    for (const step of steps) {
      let wakes = 0;
      const memory = createRing(1024);
      const writer = new RingWriter(memory, () => wakes++);
      const reader = new RingReader(memory, () => {});
      const write = () => writer.write(frameOf(0, 10), 10);
      write();
      drain(reader, 1024, -1);
      write(); // the reader is awake from here
      let isLeft = false;
      interleaving.run(
        () => {
          isLeft = reader.drain(() => {}, 16);
        },
        new Map([[step, () => void write()]]),
      );
      if (!isLeft) continue;
      found++;
      const before = wakes;
      write();
      expect(wakes, `after step ${step}`).toBe(before);
    }
    expect(found).toBeGreaterThan(0);
  });
});

test('a pause ends at once where there is a frame', () => {
  const memory = createRing(1024);
  const reader = new RingReader(memory, () => {});
  new RingWriter(memory, () => {}).write(frameOf(1, 8), 8);
  const start = performance.now();
  reader.pause(10_000);
  expect(performance.now() - start).toBeLessThan(9_000);
});

test('a frame for a reader that sleeps ends its pause', async () => {
  const memory = createRing(1024);
  const writer = new RingWriter(memory, () => {});
  const { value } = Atomics.waitAsync(new Int32Array(memory), WRITE_WORD, 0);
  writer.write(frameOf(1, 8), 8);
  expect(await value).toBe('ok');
});
