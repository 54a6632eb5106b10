import { type DraftExtra, type RefusalCode, refusalCodes } from '../hub/changes.ts';
import type { Draft, Outcome, Position } from '../hub/engine.ts';
import type { Extra, LogRecord } from '../hub/log.ts';

/** What a worker sends to the log thread. */
export interface UpFrames {
  /** Returns the room of an attachment. */
  roomOf(attachment: number): string;
  /** Drafts for a room, in order. */
  drafts(attachment: number, drafts: readonly Draft[]): void;
  /** As many drafts for a room have failed in the worker: their outcomes come in order. */
  refused(attachment: number, count: number): void;
}

/** What the log thread sends to a worker. The frames of a room are in order. */
export interface DownFrames {
  /** Records of a room, and its oldest one that can be read by then. */
  committed(attachment: number, records: readonly LogRecord[], first: number): void;
  /** The outcomes of the worker's oldest undecided drafts for a room. */
  decided(attachment: number, outcomes: readonly Outcome[]): void;
  /** The room's log is in another life, and goes on after the position. */
  moved(attachment: number, position: Position): void;
  /** The room's log goes on after the position, in the same life. */
  skipped(attachment: number, position: Position): void;
  /** Commits up to a `seq` did not fit into the ring: they are to be read. */
  behind(attachment: number, seq: number): void;
}

const DRAFTS = 1;
const REFUSED = 2;
const COMMITTED = 3;
const DECIDED = 4;
const MOVED = 5;
const SKIPPED = 6;
const BEHIND = 7;

const OUTCOMES = ['stored', 'duplicate', 'failed', 'unknown', 'refused'] as const;

// Offsets of the words that most frames have.
const ATTACHMENT = 4;
const COUNT = 8;
const HEADER = 12;

// A message's fixed part: its time, the bytes of its data, flags, and the lengths of its texts.
const MESSAGE = 8 + 4 + 4 + 4 * 4;
const OUTCOME = 1 + 8;

// Flags of a message: one for JSON, then two bits for the encoding of each text.
const JSON_FLAG = 1;
const ENCODING_BITS = 2;
const ENCODINGS_MASK = 0xff << 1;
// Set if the JSON text of what a message has beside its fields follows its texts, after its length.
const EXTRA_FLAG = 1 << 9;
const ENCODINGS = ['latin1', 'utf8', 'utf16le'] as const;
const LATIN1 = 0;
const UTF8 = 1;
const UTF16 = 2;

const INITIAL_BYTES = 64 * 1024;

/** Encodes frames in a buffer of its own, which holds one at a time. */
export class FrameEncoder {
  #buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #length = 0;

  get buffer(): Buffer {
    return this.#buffer;
  }

  /** Length of the frame in the buffer. */
  get length(): number {
    return this.#length;
  }

  /**
   * Encodes the drafts from `start` on that fit into `maxBytes`.
   *
   * @returns where the next frame starts. At `start` itself if not even one draft fits.
   */
  drafts(attachment: number, drafts: readonly Draft[], start: number, maxBytes: number): number {
    this.#begin(DRAFTS, attachment, HEADER);
    let at = start;
    for (; at < drafts.length; at++) {
      const { from, sender = '', id, data, json = false, bytes, extra } = drafts[at] as Draft;
      if (!this.#message(0, json, bytes, from, sender, id, data, extra, maxBytes)) break;
    }
    this.#buffer.writeUInt32LE(at - start, COUNT);
    return at;
  }

  refused(attachment: number, count: number): void {
    this.#begin(REFUSED, attachment, HEADER);
    this.#buffer.writeUInt32LE(count, COUNT);
  }

  /** Encodes the records from `start` on that fit into `maxBytes`. See `drafts`. */
  committed(attachment: number, records: readonly LogRecord[], first: number, start: number, maxBytes: number): number {
    this.#begin(COMMITTED, attachment, HEADER + 16);
    this.#buffer.writeDoubleLE((records[start] as LogRecord).seq, HEADER);
    this.#buffer.writeDoubleLE(first, HEADER + 8);
    let at = start;
    for (; at < records.length; at++) {
      const { at: time, from, sender, id, data, json, bytes, extra } = records[at] as LogRecord;
      if (!this.#message(time, json, bytes, from, sender, id, data, extra, maxBytes)) break;
    }
    this.#buffer.writeUInt32LE(at - start, COUNT);
    return at;
  }

  decided(attachment: number, outcomes: readonly Outcome[]): void {
    this.#begin(DECIDED, attachment, HEADER + outcomes.length * OUTCOME);
    this.#buffer.writeUInt32LE(outcomes.length, COUNT);
    let offset = HEADER;
    for (const outcome of outcomes) {
      this.#buffer[offset] = OUTCOMES.indexOf(outcome.kind);
      this.#buffer.writeDoubleLE(numberOf(outcome), offset + 1);
      offset += OUTCOME;
    }
  }

  moved(attachment: number, position: Position): void {
    this.#place(MOVED, attachment, position);
  }

  skipped(attachment: number, position: Position): void {
    this.#place(SKIPPED, attachment, position);
  }

  behind(attachment: number, seq: number): void {
    this.#begin(BEHIND, attachment, HEADER + 8);
    this.#buffer.writeDoubleLE(seq, HEADER);
  }

  /** Addresses the frame in the buffer to another attachment. */
  readdress(attachment: number): void {
    this.#buffer.writeUInt32LE(attachment, ATTACHMENT);
  }

  #place(kind: number, attachment: number, position: Position): void {
    const text = JSON.stringify(position);
    const bytes = Buffer.byteLength(text);
    this.#begin(kind, attachment, HEADER + bytes);
    this.#buffer.write(text, HEADER, 'utf8');
  }

  #begin(kind: number, attachment: number, length: number): void {
    this.#length = 0;
    this.#reserve(length);
    this.#buffer.writeUInt32LE(kind, 0);
    this.#buffer.writeUInt32LE(attachment, ATTACHMENT);
    this.#length = length;
  }

  /** Adds a message. @returns false, and adds nothing, if the frame would exceed `maxBytes`. */
  #message(
    at: number,
    json: boolean,
    bytes: number,
    from: string,
    sender: string,
    id: string,
    data: string,
    extra: DraftExtra | Extra | undefined,
    maxBytes: number,
  ): boolean {
    const start = this.#length;
    // No text takes more than three bytes for each of its UTF-16 units.
    this.#reserve(MESSAGE + 3 * (from.length + sender.length + id.length + data.length));
    const buffer = this.#buffer;
    buffer.writeDoubleLE(at, start);
    buffer.writeUInt32LE(bytes, start + 8);
    this.#length += MESSAGE;
    let flags = json ? JSON_FLAG : 0;
    const texts = from + sender + id + data;
    if (Buffer.byteLength(texts) === texts.length) {
      // The usual case: ASCII, which one call writes.
      this.#length += buffer.write(texts, this.#length, 'latin1');
      buffer.writeUInt32LE(from.length, start + 16);
      buffer.writeUInt32LE(sender.length, start + 20);
      buffer.writeUInt32LE(id.length, start + 24);
      buffer.writeUInt32LE(data.length, start + 28);
    } else {
      flags |= this.#text(from, start + 16) << 1;
      flags |= this.#text(sender, start + 20) << (1 + ENCODING_BITS);
      flags |= this.#text(id, start + 24) << (1 + 2 * ENCODING_BITS);
      flags |= this.#text(data, start + 28) << (1 + 3 * ENCODING_BITS);
    }
    if (extra !== undefined) {
      this.#extra(extra);
      flags |= EXTRA_FLAG;
    }
    // It may be another one by now.
    this.#buffer.writeUInt32LE(flags, start + 12);
    if (this.#length <= maxBytes) return true;
    this.#length = start;
    return false;
  }

  #extra(extra: DraftExtra | Extra): void {
    const text = JSON.stringify(extra);
    const start = this.#length;
    this.#reserve(4 + 3 * text.length);
    const bytes = this.#buffer.write(text, start + 4, 'utf8');
    this.#buffer.writeUInt32LE(bytes, start);
    this.#length = start + 4 + bytes;
  }

  /** Adds a text, with its length at an offset. @returns its encoding. */
  #text(text: string, lengthAt: number): number {
    const encoding = encodingOf(text);
    const bytes = this.#buffer.write(text, this.#length, ENCODINGS[encoding]);
    this.#buffer.writeUInt32LE(bytes, lengthAt);
    this.#length += bytes;
    return encoding;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#buffer.length, this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

/** Passes a worker's frame on. @throws RangeError for one of an unknown kind. */
export function receiveUp(buffer: Buffer, start: number, frames: UpFrames): void {
  const attachment = buffer.readUInt32LE(start + ATTACHMENT);
  const count = buffer.readUInt32LE(start + COUNT);
  switch (buffer.readUInt32LE(start)) {
    case DRAFTS:
      frames.drafts(attachment, decodeDrafts(buffer, start + HEADER, count, frames.roomOf(attachment)));
      break;
    case REFUSED:
      frames.refused(attachment, count);
      break;
    default:
      throw new RangeError('a frame of an unknown kind');
  }
}

/** Passes a frame of the log thread on. @throws RangeError for one of an unknown kind. */
export function receiveDown(buffer: Buffer, start: number, end: number, frames: DownFrames): void {
  const attachment = buffer.readUInt32LE(start + ATTACHMENT);
  const body = start + HEADER;
  switch (buffer.readUInt32LE(start)) {
    case COMMITTED:
      frames.committed(attachment, decodeRecords(buffer, start), buffer.readDoubleLE(body + 8));
      break;
    case DECIDED:
      frames.decided(attachment, decodeOutcomes(buffer, body, buffer.readUInt32LE(start + COUNT)));
      break;
    case MOVED:
      frames.moved(attachment, JSON.parse(buffer.toString('utf8', body, end)));
      break;
    case SKIPPED:
      frames.skipped(attachment, JSON.parse(buffer.toString('utf8', body, end)));
      break;
    case BEHIND:
      frames.behind(attachment, buffer.readDoubleLE(body));
      break;
    default:
      throw new RangeError('a frame of an unknown kind');
  }
}

/** Returns the `seq` of an outcome, or the number of its code. */
function numberOf(outcome: Outcome): number {
  if (outcome.kind === 'refused') return refusalCodes.indexOf(outcome.code);
  return 'seq' in outcome ? outcome.seq : 0;
}

/** A place in a buffer that is being read. */
interface Cursor {
  offset: number;
  /** Whether what the last message has beside its fields follows. */
  hasExtra: boolean;
}

function decodeDrafts(buffer: Buffer, start: number, count: number, room: string): Draft[] {
  const cursor = { offset: start, hasExtra: false };
  const drafts: Draft[] = [];
  for (let i = 0; i < count; i++) {
    const { from, sender, id, data, json, bytes } = readMessage(buffer, cursor, 0);
    const extra = readExtra<DraftExtra>(buffer, cursor);
    // A spread of optional fields would cost more than the rest.
    const draft = sender === '' ? { room, from, id, data, json, bytes } : { room, from, sender, id, data, json, bytes };
    drafts.push(extra === undefined ? draft : { ...draft, extra });
  }
  return drafts;
}

function decodeRecords(buffer: Buffer, start: number): LogRecord[] {
  const cursor = { offset: start + HEADER + 16, hasExtra: false };
  const records: LogRecord[] = [];
  const count = buffer.readUInt32LE(start + COUNT);
  const seq = buffer.readDoubleLE(start + HEADER);
  for (let i = 0; i < count; i++) {
    const record = readMessage(buffer, cursor, seq + i);
    const extra = readExtra<Extra>(buffer, cursor);
    records.push(extra === undefined ? record : { ...record, extra });
  }
  return records;
}

/** Reads a message, and moves the cursor past it. */
function readMessage(buffer: Buffer, cursor: Cursor, seq: number): LogRecord {
  const start = cursor.offset;
  const flags = buffer.readUInt32LE(start + 12);
  const at = buffer.readDoubleLE(start);
  const bytes = buffer.readUInt32LE(start + 8);
  const json = (flags & JSON_FLAG) !== 0;
  const fromBytes = buffer.readUInt32LE(start + 16);
  const senderBytes = buffer.readUInt32LE(start + 20);
  const idBytes = buffer.readUInt32LE(start + 24);
  const dataBytes = buffer.readUInt32LE(start + 28);
  cursor.offset += MESSAGE;
  cursor.hasExtra = (flags & EXTRA_FLAG) !== 0;
  if ((flags & ENCODINGS_MASK) === 0) {
    // The usual case: one call reads the short texts. The data has a call of its own, since a part
    // of a string keeps all of it in memory: a deleted text would stay with its id.
    const idAt = fromBytes + senderBytes;
    const texts = readText(buffer, cursor, idAt + idBytes, LATIN1);
    const from = texts.slice(0, fromBytes);
    const sender = texts.slice(fromBytes, idAt);
    const data = readText(buffer, cursor, dataBytes, LATIN1);
    return { seq, at, from, sender, id: texts.slice(idAt), data, json, bytes };
  }
  const from = readText(buffer, cursor, fromBytes, flags >> 1);
  const sender = readText(buffer, cursor, senderBytes, flags >> (1 + ENCODING_BITS));
  const id = readText(buffer, cursor, idBytes, flags >> (1 + 2 * ENCODING_BITS));
  const data = readText(buffer, cursor, dataBytes, flags >> (1 + 3 * ENCODING_BITS));
  return { seq, at, from, sender, id, data, json, bytes };
}

/** Reads what the last message has beside its fields, and moves the cursor past it. */
function readExtra<T>(buffer: Buffer, cursor: Cursor): T | undefined {
  if (!cursor.hasExtra) return undefined;
  const bytes = buffer.readUInt32LE(cursor.offset);
  cursor.offset += 4;
  return JSON.parse(readText(buffer, cursor, bytes, UTF8)) as T;
}

/** @param encoding in its lowest two bits. */
function readText(buffer: Buffer, cursor: Cursor, bytes: number, encoding: number): string {
  const start = cursor.offset;
  cursor.offset += bytes;
  return buffer.toString(ENCODINGS[encoding & 3], start, cursor.offset);
}

/** Texts of JSON escapes may have lone surrogates, which UTF-8 cannot carry. */
function encodingOf(text: string): number {
  if (Buffer.byteLength(text) === text.length) return 0; // ASCII
  return (text as string & { isWellFormed(): boolean }).isWellFormed() ? UTF8 : UTF16;
}

function decodeOutcomes(buffer: Buffer, start: number, count: number): Outcome[] {
  const outcomes: Outcome[] = [];
  for (let offset = start; outcomes.length < count; offset += OUTCOME) {
    const kind = OUTCOMES[buffer[offset] as number] as Outcome['kind'];
    const number = buffer.readDoubleLE(offset + 1);
    if (kind === 'stored' || kind === 'duplicate') outcomes.push({ kind, seq: number });
    else if (kind === 'refused') outcomes.push({ kind, code: refusalCodes[number] as RefusalCode });
    else outcomes.push({ kind });
  }
  return outcomes;
}
