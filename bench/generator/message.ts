/**
 * The load's messages: `SSSS.NNNNNNNN xxx…`, the sender in base 36, the number of its message, and as many x as the length
 * asks for. All have one length, so that they are counted without being looked at.
 */
export const SHORTEST = 16;

const SENDER = 4;
const DIGITS = 8;
const HEAD = SENDER + 1 + DIGITS + 1;

/** The `seq`th message of the client `sender`. */
export interface MessageName {
  readonly sender: number;
  readonly seq: number;
}

/** How a sender's messages begin; nothing else in any message reads like it. */
export function prefixOf(sender: number): string {
  return `${sender.toString(36).padStart(SENDER, '0')}.`;
}

export function messageOf(sender: number, seq: number, bytes: number): string {
  return `${prefixOf(sender)}${String(seq).padStart(DIGITS, '0')} `.padEnd(bytes, 'x');
}

/** Which message starts at `at`; undefined for one that is not the load's. */
export function readMessage(frame: Buffer, at: number, bytes: number): MessageName | undefined {
  if (at + bytes > frame.length || frame[at + SENDER] !== DOT || frame[at + HEAD - 1] !== SPACE) return undefined;
  for (let i = at + HEAD; i < at + bytes; i++) if (frame[i] !== X) return undefined;
  const sender = Number.parseInt(frame.toString('latin1', at, at + SENDER), 36);
  const seq = seqAt(frame, at);
  return Number.isNaN(sender) || Number.isNaN(seq) ? undefined : { sender, seq };
}

/** The number of the message that starts at `at`. */
export function seqAt(frame: Buffer, at: number): number {
  let seq = 0;
  for (let i = at + SENDER + 1; i < at + HEAD - 1; i++) {
    const digit = (frame[i] as number) - ZERO;
    if (digit < 0 || digit > 9) return Number.NaN;
    seq = seq * 10 + digit;
  }
  return seq;
}

/** Where the line that `at` is in ends. */
export function lineEnd(frame: Buffer, at: number): number {
  const end = frame.indexOf(NEWLINE, at);
  return end < 0 ? frame.length : end;
}

const NEWLINE = 10;
const DOT = 46;
const SPACE = 32;
const X = 120;
const ZERO = 48;
