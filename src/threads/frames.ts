import { type DraftExtra, refusalCodes } from '../hub/changes.ts';
import type { Draft, Outcome, Position } from '../hub/engine.ts';
import type { Extra, LogRecord } from '../hub/log.ts';
import {
  ATTACHMENT,
  BEHIND,
  COMMITTED,
  COUNT,
  DECIDED,
  DRAFTS,
  ENCODING_BITS,
  ENCODINGS,
  EXTRA_FLAG,
  HEADER,
  JSON_FLAG,
  MESSAGE,
  MOVED,
  OUTCOME,
  OUTCOMES,
  REFUSED,
  SAME_SENDER_FLAG,
  SKIPPED,
  UTF8,
  UTF16,
} from './frame-format.ts';

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

const INITIAL_BYTES = 64 * 1024;

/** Encodes frames in a buffer of its own, which holds one at a time. */
export class FrameEncoder {
  #buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #view = viewOf(this.#buffer);
  #length = 0;
  /** The sender of the last message in the frame. */
  #from: string | undefined;
  #sender = '';

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
    this.#view.setUint32(COUNT, at - start, true);
    return at;
  }

  refused(attachment: number, count: number): void {
    this.#begin(REFUSED, attachment, HEADER);
    this.#view.setUint32(COUNT, count, true);
  }

  /** Encodes the records from `start` on that fit into `maxBytes`. See `drafts`. */
  committed(attachment: number, records: readonly LogRecord[], first: number, start: number, maxBytes: number): number {
    this.#begin(COMMITTED, attachment, HEADER + 16);
    this.#view.setFloat64(HEADER, (records[start] as LogRecord).seq, true);
    this.#view.setFloat64(HEADER + 8, first, true);
    let at = start;
    for (; at < records.length; at++) {
      const { at: time, from, sender, id, data, json, bytes, extra } = records[at] as LogRecord;
      if (!this.#message(time, json, bytes, from, sender, id, data, extra, maxBytes)) break;
    }
    this.#view.setUint32(COUNT, at - start, true);
    return at;
  }

  decided(attachment: number, outcomes: readonly Outcome[]): void {
    this.#begin(DECIDED, attachment, HEADER + outcomes.length * OUTCOME);
    this.#view.setUint32(COUNT, outcomes.length, true);
    let offset = HEADER;
    for (const outcome of outcomes) {
      this.#buffer[offset] = OUTCOMES.indexOf(outcome.kind);
      this.#view.setFloat64(offset + 1, numberOf(outcome), true);
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
    this.#view.setFloat64(HEADER, seq, true);
  }

  /** Addresses the frame in the buffer to another attachment. */
  readdress(attachment: number): void {
    this.#view.setUint32(ATTACHMENT, attachment, true);
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
    this.#view.setUint32(0, kind, true);
    this.#view.setUint32(ATTACHMENT, attachment, true);
    this.#length = length;
    this.#from = undefined;
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
    const isSameSender = from === this.#from && sender === this.#sender;
    const newFrom = isSameSender ? '' : from;
    const newSender = isSameSender ? '' : sender;
    this.#from = from;
    this.#sender = sender;
    // No text takes more than three bytes for each of its UTF-16 units.
    this.#reserve(MESSAGE + 3 * (newFrom.length + newSender.length + id.length + data.length));
    const view = this.#view;
    view.setFloat64(start, at, true);
    view.setUint32(start + 8, bytes, true);
    this.#length += MESSAGE;
    let flags = (json ? JSON_FLAG : 0) | (isSameSender ? SAME_SENDER_FLAG : 0);
    const texts = newFrom + newSender + id + data;
    const written = this.#buffer.write(texts, this.#length);
    if (written === texts.length) {
      // The usual case: ASCII, which one call writes.
      this.#length += written;
      view.setUint32(start + 16, newFrom.length, true);
      view.setUint32(start + 20, newSender.length, true);
      view.setUint32(start + 24, id.length, true);
      view.setUint32(start + 28, data.length, true);
    } else {
      flags |= this.#text(newFrom, start + 16) << 1;
      flags |= this.#text(newSender, start + 20) << (1 + ENCODING_BITS);
      flags |= this.#text(id, start + 24) << (1 + 2 * ENCODING_BITS);
      flags |= this.#text(data, start + 28) << (1 + 3 * ENCODING_BITS);
    }
    if (extra !== undefined) {
      this.#extra(extra);
      flags |= EXTRA_FLAG;
    }
    // It may be another one by now.
    this.#view.setUint32(start + 12, flags, true);
    if (this.#length <= maxBytes) return true;
    this.#length = start;
    return false;
  }

  #extra(extra: DraftExtra | Extra): void {
    const text = JSON.stringify(extra);
    const start = this.#length;
    this.#reserve(4 + 3 * text.length);
    const bytes = this.#buffer.write(text, start + 4, 'utf8');
    this.#view.setUint32(start, bytes, true);
    this.#length = start + 4 + bytes;
  }

  /** Adds a text, with its length at an offset. @returns its encoding. */
  #text(text: string, lengthAt: number): number {
    const encoding = encodingOf(text);
    const bytes = this.#buffer.write(text, this.#length, ENCODINGS[encoding]);
    this.#view.setUint32(lengthAt, bytes, true);
    this.#length += bytes;
    return encoding;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#buffer.length, this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
    this.#view = viewOf(larger);
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}

/** Returns the `seq` of an outcome, or the number of its code. */
function numberOf(outcome: Outcome): number {
  if (outcome.kind === 'refused') return refusalCodes.indexOf(outcome.code);
  return 'seq' in outcome ? outcome.seq : 0;
}

/** Texts of JSON escapes may have lone surrogates, which UTF-8 cannot carry. */
function encodingOf(text: string): number {
  if (Buffer.byteLength(text) === text.length) return 0; // ASCII
  return (text as string & { isWellFormed(): boolean }).isWellFormed() ? UTF8 : UTF16;
}
