/** A decoded value of RESP2 or RESP3. Maps, sets and pushes are arrays of their elements. */
export type Reply = string | number | null | Reply[] | RedisError;

/** An error reply, such as `NOPERM …`. */
export class RedisError extends Error {}

const CRLF = Buffer.from('\r\n');

/** Encodes a command as an array of bulk strings. */
export function encodeCommand(args: readonly (string | number | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg));
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, CRLF);
  }
  return Buffer.concat(parts);
}

/** Cuts a byte stream into whole values of RESP, which stay encoded. */
export class RespSplitter {
  #rest: Buffer = Buffer.alloc(0);

  /** Adds bytes. @returns the values that are complete now. */
  push(bytes: Buffer): Buffer[] {
    const buffer = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes;
    const values: Buffer[] = [];
    let start = 0;
    for (let end = valueEnd(buffer, 0); end >= 0; end = valueEnd(buffer, start)) {
      values.push(buffer.subarray(start, end));
      start = end;
    }
    this.#rest = buffer.subarray(start);
    return values;
  }
}

/** @returns the index after the value at `start`; -1 if it is incomplete. */
function valueEnd(buffer: Buffer, start: number): number {
  const lineEnd = buffer.indexOf(CRLF, start);
  if (lineEnd < 0) return -1;
  const next = lineEnd + 2;
  const type = String.fromCharCode(buffer[start] as number);
  if ('+-:_#,('.includes(type)) return next;
  const size = Number(buffer.toString('latin1', start + 1, lineEnd));
  if ('$=!'.includes(type)) {
    const end = size < 0 ? next : next + size + 2;
    return end <= buffer.length ? end : -1;
  }
  const elements = childCount(type, size);
  if (elements === undefined || Number.isNaN(size)) throw new Error(`not RESP: ${JSON.stringify(type)}`);
  let end = next;
  for (let i = 0; i < elements && end >= 0; i++) end = valueEnd(buffer, end);
  return end;
}

/** The number of values inside an aggregate. An attribute includes the value that it is about. */
function childCount(type: string, size: number): number | undefined {
  if (type === '*' || type === '~' || type === '>') return Math.max(size, 0);
  if (type === '%') return 2 * size;
  if (type === '|') return 2 * size + 1;
  return undefined;
}

/** Decodes one whole value. */
export function decode(value: Buffer): Reply {
  return decodeAt(value, 0).reply;
}

function decodeAt(buffer: Buffer, start: number): { reply: Reply; end: number } {
  const lineEnd = buffer.indexOf(CRLF, start);
  const line = buffer.toString('utf8', start + 1, lineEnd);
  const next = lineEnd + 2;
  const type = String.fromCharCode(buffer[start] as number);
  if (type === '-') return { reply: new RedisError(line), end: next };
  if (type === ':' || type === ',') return { reply: Number(line), end: next };
  if (type === '#') return { reply: line === 't' ? 1 : 0, end: next };
  if (type === '_') return { reply: null, end: next };
  if (type === '+' || type === '(') return { reply: line, end: next };
  const size = Number(line);
  if (size < 0) return { reply: null, end: next };
  if ('$=!'.includes(type)) {
    const text = buffer.toString('utf8', next, next + size);
    return { reply: type === '!' ? new RedisError(text) : text, end: next + size + 2 };
  }
  const replies: Reply[] = [];
  let end = next;
  for (let i = 0; i < (childCount(type, size) ?? 0); i++) {
    const element = decodeAt(buffer, end);
    replies.push(element.reply);
    end = element.end;
  }
  return { reply: type === '|' ? (replies.at(-1) ?? null) : replies, end };
}

/** The name of an encoded command, in upper case. */
export function commandName(command: Buffer): string {
  const count = command.indexOf(CRLF);
  const size = command.indexOf(CRLF, count + 2);
  const length = Number(command.toString('latin1', count + 3, size));
  return command.toString('latin1', size + 2, size + 2 + length).toUpperCase();
}

/** Whether an encoded value is a push of RESP3, such as a message of a channel. */
export function isPush(value: Buffer): boolean {
  return value[0] === 0x3e;
}
