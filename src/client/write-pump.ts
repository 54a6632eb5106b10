import { type Clock, type Encoder, type Frame, MAX_FRAME_BYTES, type Pump } from '../hub/ports.ts';
import type { Member } from '../hub/room.ts';
import { DROPPED, QUEUED, SENT, type SendStatus, type Socket } from '../transport/port.ts';

// Lines that may wait for a socket that takes nothing: who lets more pile up reads too slowly.
const WAITING_LINES = 256;

// In UTF-8.
const MOST_BYTES_PER_UNIT = 3;

// One system call for lines and records is worth a copy of the records as long as they are few.
const CORKED_BYTES = 16 * 1024;

/**
 * The one writer of a client's socket. Once the socket does not take a frame at once it is parked: nothing more goes out
 * until that socket has drained, so that no record is ever sent past a hole.
 */
export class WritePump implements Pump {
  readonly encoder: Encoder;
  writable = false;
  readonly #clock: Clock;
  #socket: Socket | undefined;
  /** What the client was told and is not out yet: it goes ahead of records. */
  #lines: string[] | undefined;
  /** Their length in UTF-16 code units. */
  #length = 0;
  #stalledSince = 0;
  #buffered = 0;
  /** For records that are not merged: what is being sent, how many of them the socket took, and the sending. */
  #frame: Frame | undefined;
  #taken = 0;
  #sendEach: (() => void) | undefined;

  constructor(encoder: Encoder, clock: Clock) {
    this.encoder = encoder;
    this.#clock = clock;
  }

  open(socket: Socket): void {
    this.#socket = socket;
    this.writable = true;
  }

  /** From here on it writes nothing. */
  close(): void {
    this.writable = false;
    this.#socket = undefined;
    this.#lines = undefined;
    this.#length = 0;
  }

  advance(member: Member, frame: Frame): boolean {
    return this.#lines === undefined ? this.#send(member, frame) : this.#sendAfterLines(member, frame);
  }

  /** Keeps a line for the client. @returns false when too many wait for a socket that takes nothing. */
  tell(line: string): boolean {
    this.#lines ??= [];
    this.#length += line.length;
    return this.#lines.push(line) <= WAITING_LINES || this.writable;
  }

  release(): void {
    while (this.writable && this.#lines !== undefined) {
      const socket = this.#socket as Socket;
      const lines = this.encoder.merges ? this.#thatFit(this.#lines) : this.#lines.slice(0, 1);
      const status = this.encoder.merges ? socket.send(Buffer.from(lines.join('\n'))) : sendLines(socket, lines);
      if (status !== DROPPED) this.#leave(lines.length);
      if (status !== SENT) this.#park();
    }
  }

  /** The socket has drained. @returns whether it takes records again. */
  resume(): boolean {
    this.writable = this.#socket !== undefined;
    this.release();
    return this.writable;
  }

  /** How long, at `now`, the socket has taken nothing of what waits for it, in milliseconds. Ask it at every tick. */
  stalledFor(now: number): number {
    if (this.writable || this.#socket === undefined) return 0;
    const buffered = this.#socket.bufferedAmount;
    if (buffered < this.#buffered) this.#stalledSince = now;
    this.#buffered = buffered;
    return now - this.#stalledSince;
  }

  /** As many of the lines as one frame may hold: at least one, and nearly always all. */
  #thatFit(lines: readonly string[]): readonly string[] {
    const most = this.#length * MOST_BYTES_PER_UNIT + lines.length;
    return most <= MAX_FRAME_BYTES ? lines : lines.slice(0, countThatFit(lines));
  }

  /** The first lines are out. */
  #leave(count: number): void {
    const rest = this.#lines?.slice(count) ?? [];
    this.#length = rest.reduce((sum, line) => sum + line.length, 0);
    this.#lines = rest.length > 0 ? rest : undefined;
  }

  #send(member: Member, frame: Frame): boolean {
    if (frame.more !== undefined) return this.#sendApart(member, frame);
    const status = (this.#socket as Socket).send(frame.bytes);
    if (status !== DROPPED) member.cursor = frame.to;
    if (status === SENT) return true;
    this.#park();
    return false;
  }

  /** Sends records that are not merged, in one system call where they fit. */
  #sendApart(member: Member, frame: Frame): boolean {
    const socket = this.#socket as Socket;
    this.#frame = frame;
    this.#taken = 0;
    this.#sendEach ??= () => this.#sendFrames();
    socket.cork(this.#sendEach);
    this.#frame = undefined;
    member.cursor = frame.from + this.#taken;
    if (member.cursor === frame.to && socket.bufferedAmount === 0) return true;
    this.#park();
    return false;
  }

  #sendFrames(): void {
    const socket = this.#socket as Socket;
    const { bytes, more = [] } = this.#frame as Frame;
    if (socket.send(bytes) === DROPPED) return;
    this.#taken++;
    for (const next of more) {
      if (socket.send(next) === DROPPED) return;
      this.#taken++;
    }
  }

  #sendAfterLines(member: Member, frame: Frame): boolean {
    const socket = this.#socket as Socket;
    const send = () => {
      this.release();
      if (this.writable) this.#send(member, frame);
    };
    if (frame.more === undefined && frame.bytes.byteLength < CORKED_BYTES) socket.cork(send);
    else send();
    if (this.writable && socket.bufferedAmount > 0) this.#park();
    return this.writable;
  }

  #park(): void {
    this.writable = false;
    this.#stalledSince = this.#clock.now();
    this.#buffered = (this.#socket as Socket).bufferedAmount;
  }
}

/** Sends a notice of a wire that does not merge: each of its lines in a frame of its own. */
function sendLines(socket: Socket, [notice = '']: readonly string[]): SendStatus {
  const frames = notice.split('\n').map((line) => Buffer.from(line));
  const sent: SendStatus[] = [];
  socket.cork(() => {
    for (const frame of frames) sent.push(socket.send(frame));
  });
  if (sent.includes(DROPPED)) return DROPPED;
  return socket.bufferedAmount > 0 ? QUEUED : SENT;
}

/** How many of the lines one frame may hold: at least one. */
function countThatFit(lines: readonly string[]): number {
  let bytes = 0;
  for (let count = 0; count < lines.length; count++) {
    bytes += Buffer.byteLength(lines[count] as string) + 1;
    if (bytes > MAX_FRAME_BYTES && count > 0) return count;
  }
  return lines.length;
}
