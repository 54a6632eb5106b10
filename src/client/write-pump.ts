import { type Encoder, type Frame, MAX_FRAME_BYTES, type Pump } from '../hub/subscriber.ts';
import type { Clock } from '../hub/time.ts';
import { DROPPED, QUEUED, SENT, type SendStatus, type Socket } from '../transport/transport.ts';

// Notices that may wait for a socket that accepts no data. A client that lets more pile up is a
// slow consumer.
const MAX_WAITING_LINES = 256;

// Longest UTF-16 code unit in UTF-8.
const MAX_BYTES_PER_UNIT = 3;

// Below this size, one system call for notices and records is worth a copy of the records.
const MAX_CORKED_BYTES = 16 * 1024;

/**
 * WritePump pumps frames from the Hub to the socket, and is the socket's one writer. When the
 * socket does not accept a frame at once, the pump is parked until that socket has drained: no
 * record is sent past a hole.
 */
export class WritePump implements Pump {
  /** The pump whose socket is corked: the callbacks for `cork` are shared by all pumps. */
  static #corked: WritePump;
  static readonly #sendSeparately = () => WritePump.#corked.#sendEach();
  static readonly #sendLinesAndFrame = () => WritePump.#corked.#releaseAndSend(WritePump.#corked.#frame as Frame);

  readonly encoder: Encoder;
  readonly #clock: Clock;
  #writable = false;
  #socket: Socket | undefined;
  /** Notices that are not sent yet. They go ahead of records. */
  #lines: string[] | undefined;
  /** Length of the notices in UTF-16 code units. */
  #linesLength = 0;
  #stalledSince = 0;
  #bufferedAmount = 0;
  /** The frame that is being sent, and the seq up to which the socket has accepted its records. */
  #frame: Frame | undefined;
  #acceptedTo = 0;

  constructor(encoder: Encoder, clock: Clock) {
    this.encoder = encoder;
    this.#clock = clock;
  }

  get writable(): boolean {
    return this.#writable;
  }

  open(socket: Socket): void {
    this.#socket = socket;
    this.#writable = true;
  }

  /** Stops writing. */
  close(): void {
    this.#writable = false;
    this.#socket = undefined;
    this.#lines = undefined;
    this.#linesLength = 0;
  }

  advance(frame: Frame): number {
    return this.#lines === undefined ? this.#send(frame) : this.#sendAfterLines(frame);
  }

  /** Queues a notice. @returns false when too many wait for a socket that accepts no data. */
  queue(line: string): boolean {
    this.#lines ??= [];
    this.#linesLength += line.length;
    return this.#lines.push(line) <= MAX_WAITING_LINES || this.#writable;
  }

  release(): void {
    while (this.#writable && this.#lines !== undefined) {
      const socket = this.#socket as Socket;
      const lines = this.encoder.merges ? this.#fitting(this.#lines) : this.#lines.slice(0, 1);
      const status = this.encoder.merges ? socket.send(Buffer.from(lines.join('\n'))) : sendLines(socket, lines);
      if (status !== DROPPED) this.#removeLines(lines.length);
      if (status !== SENT) this.#park();
    }
  }

  /** The socket has drained. @returns whether it accepts records again. */
  resume(): boolean {
    this.#writable = this.#socket !== undefined;
    this.release();
    return this.#writable;
  }

  /**
   * Returns how long the socket has accepted nothing, in milliseconds at `now`. Call it at every
   * tick.
   */
  stalledFor(now: number): number {
    if (this.#writable || this.#socket === undefined) return 0;
    const { bufferedAmount } = this.#socket;
    if (bufferedAmount < this.#bufferedAmount) this.#stalledSince = now;
    this.#bufferedAmount = bufferedAmount;
    return now - this.#stalledSince;
  }

  #send(frame: Frame): number {
    if (frame.more !== undefined) return this.#sendUnmerged(frame);
    const status = (this.#socket as Socket).send(frame.bytes);
    if (status !== SENT) this.#park();
    return status === DROPPED ? frame.from : frame.to;
  }

  /** Sends records that are not merged, in one system call where they fit. */
  #sendUnmerged(frame: Frame): number {
    const socket = this.#socket as Socket;
    this.#frame = frame;
    this.#acceptedTo = frame.from;
    this.#cork(socket, WritePump.#sendSeparately);
    this.#frame = undefined;
    if (this.#acceptedTo < frame.to || socket.bufferedAmount > 0) this.#park();
    return this.#acceptedTo;
  }

  #cork(socket: Socket, work: () => void): void {
    WritePump.#corked = this;
    socket.cork(work);
  }

  #sendEach(): void {
    const socket = this.#socket as Socket;
    const { bytes, more = [] } = this.#frame as Frame;
    if (socket.send(bytes) === DROPPED) return;
    this.#acceptedTo++;
    for (const next of more) {
      if (socket.send(next) === DROPPED) return;
      this.#acceptedTo++;
    }
  }

  #sendAfterLines(frame: Frame): number {
    const socket = this.#socket as Socket;
    if (frame.more === undefined && frame.bytes.byteLength < MAX_CORKED_BYTES) {
      this.#frame = frame;
      this.#acceptedTo = frame.from;
      this.#cork(socket, WritePump.#sendLinesAndFrame);
      this.#frame = undefined;
    } else this.#releaseAndSend(frame);
    if (this.#writable && socket.bufferedAmount > 0) this.#park();
    return this.#acceptedTo;
  }

  #releaseAndSend(frame: Frame): void {
    this.release();
    this.#acceptedTo = this.#writable ? this.#send(frame) : frame.from;
  }

  #park(): void {
    this.#writable = false;
    this.#stalledSince = this.#clock.now();
    this.#bufferedAmount = (this.#socket as Socket).bufferedAmount;
  }

  /** Returns the lines that one frame may hold: at least one, and nearly always all. */
  #fitting(lines: readonly string[]): readonly string[] {
    const maxBytes = this.#linesLength * MAX_BYTES_PER_UNIT + lines.length;
    return maxBytes <= MAX_FRAME_BYTES ? lines : lines.slice(0, countFitting(lines));
  }

  #removeLines(count: number): void {
    const rest = this.#lines?.slice(count) ?? [];
    this.#linesLength = rest.reduce((sum, line) => sum + line.length, 0);
    this.#lines = rest.length > 0 ? rest : undefined;
  }
}

/** Sends a notice of a wire that does not merge: a frame for each of its lines. */
function sendLines(socket: Socket, [notice = '']: readonly string[]): SendStatus {
  const frames = notice.split('\n').map((line) => Buffer.from(line));
  const statuses: SendStatus[] = [];
  socket.cork(() => {
    for (const frame of frames) statuses.push(socket.send(frame));
  });
  if (statuses.includes(DROPPED)) return DROPPED;
  return socket.bufferedAmount > 0 ? QUEUED : SENT;
}

/** Returns how many of the lines one frame may hold: at least one. */
function countFitting(lines: readonly string[]): number {
  let bytes = 0;
  for (let count = 0; count < lines.length; count++) {
    bytes += Buffer.byteLength(lines[count] as string) + 1;
    if (bytes > MAX_FRAME_BYTES && count > 0) return count;
  }
  return lines.length;
}
