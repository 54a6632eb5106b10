import type { Clock, Encoder, Frame, Pump } from '../hub/ports.ts';
import type { Member } from '../hub/room.ts';
import { DROPPED, SENT, type Socket } from '../transport/port.ts';

// Control frames that may wait for one socket: who lets more pile up reads too slowly.
const CONTROL_FRAMES = 64;

/**
 * The one writer of a client's socket. Once the socket does not take a frame at once it is parked: nothing more goes out
 * until that socket has drained, so that no record is ever sent past a hole.
 */
export class WritePump implements Pump {
  readonly encoder: Encoder;
  writable = false;
  readonly #clock: Clock;
  #socket: Socket | undefined;
  #control: Uint8Array[] | undefined;
  #stalledSince = 0;
  #buffered = 0;

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
    this.#control = undefined;
  }

  advance(member: Member, frame: Frame): boolean {
    const status = (this.#socket as Socket).send(frame.bytes);
    if (status !== DROPPED) member.cursor = frame.to;
    if (status === SENT) return true;
    this.#park();
    return false;
  }

  /** Sends a frame that belongs to no room's log, ahead of the records. @returns false when too many wait already. */
  tell(frame: Uint8Array): boolean {
    if (this.writable) {
      const status = (this.#socket as Socket).send(frame);
      if (status !== SENT) this.#park();
      if (status !== DROPPED) return true;
    }
    this.#control ??= [];
    return this.#control.push(frame) <= CONTROL_FRAMES;
  }

  /** The socket has drained. @returns whether it takes records again. */
  resume(): boolean {
    this.writable = this.#socket !== undefined;
    while (this.writable && this.#control?.length) this.tell(this.#control.shift() as Uint8Array);
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

  #park(): void {
    this.writable = false;
    this.#stalledSince = this.#clock.now();
    this.#buffered = (this.#socket as Socket).bufferedAmount;
  }
}
