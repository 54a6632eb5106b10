const CONTINUATION = 0;
const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const FIN = 0x80;
const MASK = 0x80;

/** Receives the frames of a stream. Payloads are valid only during the call. */
export interface FrameListener {
  /** Called for a text or binary message. @param payload undefined unless `keepPayloads` is set. */
  message(payload: Buffer | undefined, length: number): void;
  ping(payload: Buffer): void;
  close(payload: Buffer): void;
}

/**
 * Reads a server's frames from a byte stream (RFC 6455, section 5.2) in chunks of any size. A
 * WebSocket library would allocate several objects per frame, and a generator slower than the
 * server would measure itself.
 */
export class FrameReader {
  /** Whether to pass on payloads; otherwise only their length. @default true */
  keepPayloads = true;
  readonly #listener: FrameListener;
  /** The start of an incomplete header. */
  #header = Buffer.alloc(0);
  #opcode = 0;
  #length = 0;
  /** Bytes that the current payload still lacks; `#parts` holds those received. */
  #missing = 0;
  #parts: Buffer[] = [];
  /** Whether the current message continues in another frame. */
  #fragmented = false;
  /** The length and the payloads of its earlier frames. */
  #fragmentLength = 0;
  #fragments: Buffer[] = [];

  constructor(listener: FrameListener) {
    this.#listener = listener;
  }

  /**
   * Reads the next bytes, which may be overwritten afterwards.
   *
   * @throws Error if they violate the protocol.
   */
  read(bytes: Buffer): void {
    for (let rest = bytes; rest.length > 0; ) {
      rest = this.#missing > 0 ? this.#payload(rest) : this.#start(rest);
    }
  }

  /** @returns the bytes after the header. */
  #start(bytes: Buffer): Buffer {
    const buffered = this.#header.length;
    const header = buffered > 0 ? Buffer.concat([this.#header, bytes]) : bytes;
    const size = headerSize(header);
    if (header.length < size) {
      this.#header = Buffer.from(header);
      return header.subarray(header.length);
    }
    this.#header = EMPTY;
    const first = header.readUInt8(0);
    this.#opcode = first & 15;
    if ((first & 0x70) !== 0) throw new Error('the server sent a frame with reserved bits set');
    if ((header.readUInt8(1) & MASK) !== 0) throw new Error('the server sent a masked frame');
    if (this.#opcode < CLOSE) {
      if ((this.#opcode === CONTINUATION) !== this.#fragmented) {
        throw new Error('the server sent fragments out of order');
      }
      this.#fragmented = (first & FIN) === 0;
    }
    this.#length = payloadLength(header, size);
    this.#missing = this.#length;
    if (this.#length === 0) this.#emit(EMPTY);
    return bytes.subarray(size - buffered);
  }

  /** @returns the bytes after the payload. */
  #payload(bytes: Buffer): Buffer {
    const part = bytes.subarray(0, this.#missing);
    this.#missing -= part.length;
    if (!this.keepPayloads && this.#opcode < CLOSE) {
      if (this.#missing === 0) this.#fragment(undefined);
    } else if (this.#missing > 0) this.#parts.push(Buffer.from(part));
    else if (this.#parts.length === 0) this.#emit(part);
    else {
      const payload = Buffer.concat([...this.#parts, part]);
      this.#parts = [];
      this.#emit(payload);
    }
    return bytes.subarray(part.length);
  }

  #emit(payload: Buffer): void {
    if (this.#opcode < CLOSE) this.#fragment(this.keepPayloads ? payload : undefined);
    else if (this.#opcode === PING) this.#listener.ping(payload);
    else if (this.#opcode === CLOSE) this.#listener.close(payload);
  }

  /** Handles a complete message, or the next fragment of one. */
  #fragment(payload: Buffer | undefined): void {
    if (!this.#fragmented && this.#fragmentLength === 0) {
      this.#listener.message(payload, this.#length);
      return;
    }
    this.#fragmentLength += this.#length;
    if (payload) this.#fragments.push(Buffer.from(payload));
    if (this.#fragmented) return;
    const [length, payloads] = [this.#fragmentLength, Buffer.concat(this.#fragments)];
    this.#fragmentLength = 0;
    this.#fragments = [];
    this.#listener.message(this.keepPayloads ? payloads : undefined, length);
  }
}

const EMPTY = Buffer.alloc(0);

/** @returns the length of the header, as far as the bytes received determine it. */
function headerSize(bytes: Buffer): number {
  if (bytes.length < 2) return 2;
  const length = bytes.readUInt8(1) & 127;
  return length === 127 ? 10 : length === 126 ? 4 : 2;
}

function payloadLength(header: Buffer, size: number): number {
  if (size === 10) return Number(header.readBigUInt64BE(2));
  return size === 4 ? header.readUInt16BE(2) : header.readUInt8(1) & 127;
}

/**
 * Builds a client frame. Its mask is zero: the payload stays unchanged, and the server's cost is
 * that of any mask.
 */
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
