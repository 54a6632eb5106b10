/**
 * The shortest message of a load, in bytes. A message is `SSSS.NNNNNNNN xxx…`: the sender in base
 * 36, the number of the message, and padding. All messages of a load have the same length, so that
 * frames are counted without being parsed.
 */
export const MIN_BYTES = 16;

const SENDER_DIGITS = 4;
const SEQ_DIGITS = 8;
const HEADER_BYTES = SENDER_DIGITS + 1 + SEQ_DIGITS + 1;

/** Identifies message number `seq` of the client `sender`. */
export interface MessageId {
  readonly sender: number;
  readonly seq: number;
}

/** @returns the start of a sender's messages, which occurs nowhere else in a message. */
export function prefixOf(sender: number): string {
  return `${sender.toString(36).padStart(SENDER_DIGITS, '0')}.`;
}

export function messageOf(sender: number, seq: number, bytes: number): string {
  return `${prefixOf(sender)}${String(seq).padStart(SEQ_DIGITS, '0')} `.padEnd(bytes, 'x');
}

/** Parses the message at offset `at`. @returns undefined if it is not a message of the load. */
export function readMessage(frame: Buffer, at: number, bytes: number): MessageId | undefined {
  if (at + bytes > frame.length || frame[at + SENDER_DIGITS] !== DOT || frame[at + HEADER_BYTES - 1] !== SPACE)
    return undefined;
  for (let i = at + HEADER_BYTES; i < at + bytes; i++) if (frame[i] !== X) return undefined;
  const sender = Number.parseInt(frame.toString('latin1', at, at + SENDER_DIGITS), 36);
  const seq = seqAt(frame, at);
  return Number.isNaN(sender) || Number.isNaN(seq) ? undefined : { sender, seq };
}

/** @returns the number of the message at offset `at`; NaN if it is invalid. */
export function seqAt(frame: Buffer, at: number): number {
  let seq = 0;
  for (let i = at + SENDER_DIGITS + 1; i < at + HEADER_BYTES - 1; i++) {
    const digit = (frame[i] as number) - ZERO;
    if (digit < 0 || digit > 9) return Number.NaN;
    seq = seq * 10 + digit;
  }
  return seq;
}

/** @returns the offset at which the line that contains `at` ends. */
export function lineEnd(frame: Buffer, at: number): number {
  const end = frame.indexOf(NEWLINE, at);
  return end < 0 ? frame.length : end;
}

const NEWLINE = 10;
const DOT = 46;
const SPACE = 32;
const X = 120;
const ZERO = 48;
