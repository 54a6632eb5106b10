import { type DraftExtra, type RefusalCode, refusalCodes } from '../hub/changes.ts';
import type { Draft, Outcome } from '../hub/engine.ts';
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
  SENDER_ENCODINGS,
  SKIPPED,
  UTF8,
} from './frame-format.ts';
import type { DownFrames, UpFrames } from './frames.ts';
import { type KnownSender, KnownSenders } from './known-senders.ts';

/** Decodes the frames of a ring. */
export class FrameDecoder {
  readonly #senders = new KnownSenders();
  #buffer: Buffer = Buffer.alloc(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  /** Where the buffer is read. */
  #offset = 0;
  #lastSender: KnownSender = { from: '', sender: '' };
  /** Whether what the last message has beside its fields follows. */
  #hasExtra = false;

  /** Passes a worker's frame on. @throws RangeError for one of an unknown kind. */
  receiveUp(buffer: Buffer, start: number, frames: UpFrames): void {
    const view = this.#open(buffer);
    const attachment = view.getUint32(start + ATTACHMENT, true);
    const count = view.getUint32(start + COUNT, true);
    switch (view.getUint32(start, true)) {
      case DRAFTS:
        frames.drafts(attachment, this.#drafts(start + HEADER, count, frames.roomOf(attachment)));
        break;
      case REFUSED:
        frames.refused(attachment, count);
        break;
      default:
        throw new RangeError('a frame of an unknown kind');
    }
  }

  /** Passes a frame of the log thread on. @throws RangeError for one of an unknown kind. */
  receiveDown(buffer: Buffer, start: number, end: number, frames: DownFrames): void {
    const view = this.#open(buffer);
    const attachment = view.getUint32(start + ATTACHMENT, true);
    const body = start + HEADER;
    switch (view.getUint32(start, true)) {
      case COMMITTED:
        frames.committed(attachment, this.#records(start), view.getFloat64(body + 8, true));
        break;
      case DECIDED:
        frames.decided(attachment, this.#outcomes(body, view.getUint32(start + COUNT, true)));
        break;
      case MOVED:
        frames.moved(attachment, JSON.parse(buffer.toString('utf8', body, end)));
        break;
      case SKIPPED:
        frames.skipped(attachment, JSON.parse(buffer.toString('utf8', body, end)));
        break;
      case BEHIND:
        frames.behind(attachment, view.getFloat64(body, true));
        break;
      default:
        throw new RangeError('a frame of an unknown kind');
    }
  }

  /** Returns a view of a buffer, which is that of the last frame as a rule. */
  #open(buffer: Buffer): DataView {
    if (buffer !== this.#buffer) {
      this.#buffer = buffer;
      this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    }
    return this.#view;
  }

  #drafts(start: number, count: number, room: string): Draft[] {
    this.#offset = start;
    const drafts: Draft[] = [];
    for (let i = 0; i < count; i++) {
      const { from, sender, id, data, json, bytes } = this.#message(0);
      const extra = this.#extra<DraftExtra>();
      // A spread of optional fields would cost more than the rest.
      const draft =
        sender === '' ? { room, from, id, data, json, bytes } : { room, from, sender, id, data, json, bytes };
      drafts.push(extra === undefined ? draft : { ...draft, extra });
    }
    return drafts;
  }

  #records(start: number): LogRecord[] {
    this.#offset = start + HEADER + 16;
    const records: LogRecord[] = [];
    const count = this.#view.getUint32(start + COUNT, true);
    const seq = this.#view.getFloat64(start + HEADER, true);
    for (let i = 0; i < count; i++) {
      const record = this.#message(seq + i);
      const extra = this.#extra<Extra>();
      records.push(extra === undefined ? record : { ...record, extra });
    }
    return records;
  }

  /** Reads a message. */
  #message(seq: number): LogRecord {
    const view = this.#view;
    const start = this.#offset;
    const at = view.getFloat64(start, true);
    const bytes = view.getUint32(start + 8, true);
    const flags = view.getUint32(start + 12, true);
    const json = (flags & JSON_FLAG) !== 0;
    const fromBytes = view.getUint32(start + 16, true);
    const senderBytes = view.getUint32(start + 20, true);
    const idBytes = view.getUint32(start + 24, true);
    const dataBytes = view.getUint32(start + 28, true);
    this.#offset = start + MESSAGE;
    this.#hasExtra = (flags & EXTRA_FLAG) !== 0;
    const { from, sender } = this.#sender(flags, fromBytes, senderBytes);
    const id = this.#text(idBytes, flags >> (1 + 2 * ENCODING_BITS));
    const data = this.#text(dataBytes, flags >> (1 + 3 * ENCODING_BITS));
    return { seq, at, from, sender, id, data, json, bytes };
  }

  #sender(flags: number, fromBytes: number, senderBytes: number): KnownSender {
    if ((flags & SAME_SENDER_FLAG) === 0) this.#lastSender = this.#newSender(flags, fromBytes, senderBytes);
    return this.#lastSender;
  }

  #newSender(flags: number, fromBytes: number, senderBytes: number): KnownSender {
    if ((flags & SENDER_ENCODINGS) !== 0) {
      const from = this.#text(fromBytes, flags >> 1);
      return { from, sender: this.#text(senderBytes, flags >> (1 + ENCODING_BITS)) };
    }
    const start = this.#offset;
    this.#offset += fromBytes + senderBytes;
    return this.#senders.find(this.#buffer, start, fromBytes, senderBytes);
  }

  /** Reads what the last message has beside its fields. */
  #extra<T>(): T | undefined {
    if (!this.#hasExtra) return undefined;
    const bytes = this.#view.getUint32(this.#offset, true);
    this.#offset += 4;
    return JSON.parse(this.#text(bytes, UTF8)) as T;
  }

  /** @param encoding in its lowest two bits. */
  #text(bytes: number, encoding: number): string {
    if (bytes === 0) return '';
    const start = this.#offset;
    this.#offset += bytes;
    return this.#buffer.toString(ENCODINGS[encoding & 3], start, this.#offset);
  }

  #outcomes(start: number, count: number): Outcome[] {
    const outcomes: Outcome[] = [];
    for (let offset = start; outcomes.length < count; offset += OUTCOME) {
      const kind = OUTCOMES[this.#view.getUint8(offset)] as Outcome['kind'];
      const number = this.#view.getFloat64(offset + 1, true);
      if (kind === 'stored' || kind === 'duplicate') outcomes.push({ kind, seq: number });
      else if (kind === 'refused') outcomes.push({ kind, code: refusalCodes[number] as RefusalCode });
      else outcomes.push({ kind });
    }
    return outcomes;
  }
}
