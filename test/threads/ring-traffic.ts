import { RingReader, RingWriter } from '../../src/threads/ring.ts';

/** Traffic over one ring. Both of its ends derive the same frames from it. */
export interface Traffic {
  readonly memory: SharedArrayBuffer;
  readonly seed: number;
  /** How many frames to send. */
  readonly frames: number;
}

/** The traffic that one thread sends and the traffic that it receives. */
export interface Duties {
  readonly produces: Traffic | null;
  readonly consumes: Traffic | null;
}

/** Messages between the threads: two wake-ups, and the receipt of a frame that asks for one. */
const WAKE_READER = 0;
const WAKE_WRITER = 1;
const RECEIPT = 2;

const KEYS = 65_536;

/** Returns a function of random integers from 0 to 2^32 - 1 (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** The sequence of frames of a traffic. A frame is a range of random bytes that starts at a key. */
class Frames {
  readonly bytes: Buffer;
  key = 0;
  length = 0;
  /** Whether the producer stops after the frame until the consumer has confirmed it. */
  wantsReceipt = false;
  readonly #random: () => number;
  readonly #maxFrame: number;

  constructor(seed: number, maxFrame: number) {
    this.#random = randomOf(seed);
    this.#maxFrame = maxFrame;
    this.bytes = Buffer.alloc(KEYS + maxFrame);
    const words = new Uint32Array(this.bytes.buffer, 0, this.bytes.byteLength >> 2);
    const random = randomOf(~seed);
    for (let i = 0; i < words.length; i++) words[i] = random();
  }

  next(): void {
    const kind = this.#random();
    const value = this.#random();
    this.key = value % KEYS;
    this.wantsReceipt = kind % 128 === 0;
    this.length = value % this.#limit(kind >>> 8);
  }

  #limit(kind: number): number {
    if (kind % 1024 === 0) return this.#maxFrame + 1;
    return Math.min(kind % 8 === 0 ? 1024 : kind % 2 === 0 ? 256 : 16, this.#maxFrame + 1);
  }
}

/** Sends the frames of a traffic, with random pauses. */
class Producer {
  readonly #writer: RingWriter;
  readonly #frames: Frames;
  readonly #random: () => number;
  readonly #run: (task: () => void) => void;
  #left: number;
  #stopped = false;

  constructor({ memory, seed, frames }: Traffic, wake: () => void, run: (task: () => void) => void) {
    this.#writer = new RingWriter(memory, wake);
    this.#frames = new Frames(seed, this.#writer.maxFrame);
    this.#random = randomOf(seed + 1);
    this.#run = run;
    this.#left = frames;
    this.#frames.next();
  }

  receipt(): void {
    this.#stopped = false;
    this.produce();
  }

  /** Writes until the ring is full, or a frame wants a receipt, or a pause is due. */
  produce(): void {
    while (this.#left > 0 && !this.#stopped) {
      const { bytes, key, length, wantsReceipt } = this.#frames;
      const end = this.#left % 2 === 0 ? key + length : bytes.byteLength;
      if (!this.#writer.write(bytes.subarray(key, end), length)) return;
      this.#left--;
      this.#stopped = wantsReceipt;
      this.#frames.next();
      if (this.#pauses()) return;
    }
  }

  #pauses(): boolean {
    const random = this.#random();
    if (random % 32 === 0) spin((random >>> 8) % 4096);
    if (random % 512 === 1) setImmediate(() => this.#run(() => this.produce()));
    else if (random % 8192 === 2) setTimeout(() => this.#run(() => this.produce()), 1);
    else return false;
    return true;
  }
}

interface ConsumerOptions {
  sendReceipt(): void;
  /** The last frame has arrived. */
  done(): void;
  run(task: () => void): void;
}

/** Checks that the frames of a traffic arrive, with random pauses. */
class Consumer {
  readonly #reader: RingReader;
  readonly #frames: Frames;
  readonly #random: () => number;
  readonly #options: ConsumerOptions;
  readonly #count: number;
  readonly #bytes: number;
  #received = 0;
  #isScheduled = false;

  constructor({ memory, seed, frames }: Traffic, wakeWriter: () => void, options: ConsumerOptions) {
    this.#reader = new RingReader(memory, wakeWriter);
    this.#bytes = memory.byteLength;
    this.#frames = new Frames(seed, new RingWriter(memory, () => {}).maxFrame);
    this.#random = randomOf(seed + 2);
    this.#options = options;
    this.#count = frames;
  }

  /** Reads what there is, in as many turns as random budgets take. */
  consume(): void {
    if (this.#isScheduled) return;
    const random = this.#random();
    const maxBytes = random % 4 === 0 ? (random >>> 8) % this.#bytes : this.#bytes;
    if (!this.#reader.drain(this.#receive, maxBytes)) return;
    this.#isScheduled = true;
    const consume = () => {
      this.#isScheduled = false;
      this.#options.run(() => this.consume());
    };
    if (random % 1024 === 0) setTimeout(consume, 1);
    else setImmediate(consume);
  }

  readonly #receive = (buffer: Buffer, start: number, end: number) => {
    const random = this.#random();
    if (random % 64 === 0) spin((random >>> 8) % 4096);
    this.#frames.next();
    const { bytes, key, length, wantsReceipt } = this.#frames;
    if (this.#received === this.#count) throw new Error('a frame arrived after the last one');
    if (end - start !== length) {
      throw new Error(`frame ${this.#received} has ${end - start} bytes instead of ${length}`);
    }
    if (buffer.compare(bytes, key, key + length, start, end) !== 0) {
      throw new Error(`frame ${this.#received} of ${length} bytes has other bytes than were sent`);
    }
    this.#received++;
    if (wantsReceipt) this.#options.sendReceipt();
    if (this.#received === this.#count) this.#options.done();
  };
}

/** The two ways to send and receive messages that MessagePort and Worker share. */
interface Channel {
  postMessage(message: number): void;
  on(event: 'message', listener: (message: number) => void): unknown;
}

/**
 * Starts the duties of one thread. `done` is called when the last frame has arrived, and `failed`
 * with an error of this thread.
 */
export function start(duties: Duties, channel: Channel, done: () => void, failed: (error: Error) => void): void {
  const run = (task: () => void) => {
    try {
      task();
    } catch (error) {
      failed(error as Error);
    }
  };
  const producer = duties.produces && new Producer(duties.produces, () => channel.postMessage(WAKE_READER), run);
  const consumer =
    duties.consumes &&
    new Consumer(duties.consumes, () => channel.postMessage(WAKE_WRITER), {
      sendReceipt: () => channel.postMessage(RECEIPT),
      done,
      run,
    });
  channel.on('message', (message) =>
    run(() => {
      if (message === WAKE_READER) consumer?.consume();
      else if (message === WAKE_WRITER) producer?.produce();
      else if (message === RECEIPT) producer?.receipt();
    }),
  );
  run(() => producer?.produce());
}

function spin(turns: number): void {
  for (let i = 0; i < turns; i++) Math.imul(i, i);
}
