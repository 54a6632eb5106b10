/** The name and the session of a sender, in ASCII. */
export interface KnownSender {
  readonly from: string;
  readonly sender: string;
}

interface Entry extends KnownSender {
  readonly bytes: Uint8Array;
}

// A power of two.
const SLOTS = 2048;

/**
 * The senders of recent messages. All messages of a sender share its strings: those that a log
 * keeps take less memory, and a sender is found faster than its strings are made.
 */
export class KnownSenders {
  /** In pairs. The first of a pair is the newer one. */
  readonly #slots: (Entry | undefined)[] = new Array(SLOTS).fill(undefined);

  /** Returns the sender whose name, and whose session after it, are at an offset of a buffer. */
  find(buffer: Buffer, start: number, fromBytes: number, senderBytes: number): KnownSender {
    const end = start + fromBytes + senderBytes;
    const slot = slotOf(buffer, start, end);
    const newer = this.#slots[slot];
    if (newer !== undefined && isAt(newer, buffer, start, end, fromBytes)) return newer;
    const older = this.#slots[slot + 1];
    if (older !== undefined && isAt(older, buffer, start, end, fromBytes)) return older;
    const entry = {
      from: buffer.toString('latin1', start, start + fromBytes),
      sender: buffer.toString('latin1', start + fromBytes, end),
      bytes: new Uint8Array(buffer.subarray(start, end)),
    };
    this.#slots[slot + 1] = newer;
    this.#slots[slot] = entry;
    return entry;
  }
}

/** The last bytes choose the slot: sessions are random, and names differ at their ends. */
function slotOf(buffer: Buffer, start: number, end: number): number {
  let hash = end - start;
  for (let at = Math.max(start, end - 4); at < end; at++) hash = Math.imul(hash, 31) + (buffer[at] as number);
  return (hash << 1) & (SLOTS - 1);
}

function isAt({ bytes, from }: Entry, buffer: Buffer, start: number, end: number, fromBytes: number): boolean {
  const { length } = bytes;
  if (length !== end - start || from.length !== fromBytes) return false;
  for (let i = 0; i < length; i++) if (bytes[i] !== buffer[start + i]) return false;
  return true;
}
