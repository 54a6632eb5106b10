const CONTINUATION = 0;
const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const FIN = 0x80;
const MASK = 0x80;

/** What a reader finds in a server's bytes. Payloads live only during the call. */
export interface FrameListener {
  /** A text or binary frame: its payload, or its length alone where that is all that was asked for. */
  message(payload: Buffer | undefined, length: number): void;
  ping(payload: Buffer): void;
  close(payload: Buffer): void;
}

/**
 * Reads a server's frames off a byte stream (RFC 6455, 5.2), however it is cut. It is the load's own because a library makes
 * several objects a frame, and a generator that is slower than the server measures itself.
 */
export class FrameReader {
  /** Whether messages are handed over; otherwise only their length. */
  whole = true;
  readonly #listener: FrameListener;
  /** Of a header that is cut. */
  #header = Buffer.alloc(0);
  #opcode = 0;
  #length = 0;
  /** Of the payload that is being read; `#parts` holds what was there of it. */
  #left = 0;
  #parts: Buffer[] = [];
  /** Of a message that comes in several frames: whether more follow, and what was in those before. */
  #more = false;
  #before = 0;
  #fragments: Buffer[] = [];

  constructor(listener: FrameListener) {
    this.#listener = listener;
  }

  /** Takes the next bytes, which may be overwritten afterwards. @throws Error for what a server must not send. */
  read(bytes: Buffer): void {
    for (let rest = bytes; rest.length > 0; ) {
      rest = this.#left > 0 ? this.#payload(rest) : this.#start(rest);
    }
  }

  /** @returns what follows the header. */
  #start(bytes: Buffer): Buffer {
    const had = this.#header.length;
    const header = had > 0 ? Buffer.concat([this.#header, bytes]) : bytes;
    const size = headerSize(header);
    if (header.length < size) {
      this.#header = Buffer.from(header);
      return header.subarray(header.length);
    }
    this.#header = NOTHING;
    const first = header.readUInt8(0);
    this.#opcode = first & 15;
    if ((first & 0x70) !== 0) throw new Error('the server sent an extension');
    if ((header.readUInt8(1) & MASK) !== 0) throw new Error('the server sent a masked frame');
    if (this.#opcode < CLOSE) {
      if ((this.#opcode === CONTINUATION) !== this.#more) throw new Error('the server sent fragments out of order');
      this.#more = (first & FIN) === 0;
    }
    this.#length = payloadLength(header, size);
    this.#left = this.#length;
    if (this.#length === 0) this.#emit(NOTHING);
    return bytes.subarray(size - had);
  }

  /** @returns what follows the payload. */
  #payload(bytes: Buffer): Buffer {
    const part = bytes.subarray(0, this.#left);
    this.#left -= part.length;
    if (!this.whole && this.#opcode < CLOSE) {
      if (this.#left === 0) this.#fragment(undefined);
    } else if (this.#left > 0) this.#parts.push(Buffer.from(part));
    else if (this.#parts.length === 0) this.#emit(part);
    else {
      const payload = Buffer.concat([...this.#parts, part]);
      this.#parts = [];
      this.#emit(payload);
    }
    return bytes.subarray(part.length);
  }

  #emit(payload: Buffer): void {
    if (this.#opcode < CLOSE) this.#fragment(this.whole ? payload : undefined);
    else if (this.#opcode === PING) this.#listener.ping(payload);
    else if (this.#opcode === CLOSE) this.#listener.close(payload);
  }

  /** Takes a message, or the next part of one. */
  #fragment(payload: Buffer | undefined): void {
    if (!this.#more && this.#before === 0) {
      this.#listener.message(payload, this.#length);
      return;
    }
    this.#before += this.#length;
    if (payload) this.#fragments.push(Buffer.from(payload));
    if (this.#more) return;
    const [length, whole] = [this.#before, Buffer.concat(this.#fragments)];
    this.#before = 0;
    this.#fragments = [];
    this.#listener.message(this.whole ? whole : undefined, length);
  }
}

const NOTHING = Buffer.alloc(0);

/** How long the header is, as far as its first bytes tell. */
function headerSize(bytes: Buffer): number {
  if (bytes.length < 2) return 2;
  const short = bytes.readUInt8(1) & 127;
  return short === 127 ? 10 : short === 126 ? 4 : 2;
}

function payloadLength(header: Buffer, size: number): number {
  if (size === 10) return Number(header.readBigUInt64BE(2));
  return size === 4 ? header.readUInt16BE(2) : header.readUInt8(1) & 127;
}

/** A client's frame. Its mask is zero, which leaves the payload as it is, and costs a server what any mask does. */
function clientFrame(opcode: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const size = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.alloc(size + 4 + length);
  frame.writeUInt8(FIN | opcode, 0);
  frame.writeUInt8(MASK | (size === 2 ? length : size === 4 ? 126 : 127), 1);
  if (size === 4) frame.writeUInt16BE(length, 2);
  if (size === 10) frame.writeBigUInt64BE(BigInt(length), 2);
  frame.set(payload, size + 4);
  return frame;
}

export function textFrame(text: string): Buffer {
  return clientFrame(TEXT, Buffer.from(text));
}

export function pongFrame(payload: Uint8Array): Buffer {
  return clientFrame(10, payload);
}

export function closeFrame(code: number): Buffer {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return clientFrame(CLOSE, payload);
}
