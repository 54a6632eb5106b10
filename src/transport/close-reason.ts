// RFC 6455, 5.5: a control frame carries 125 bytes, two of which are the close code.
const REASON_BYTES = 123;

/** The reason as far as it fits a close frame, cut between characters. */
export function clipReason(reason: string): string {
  if (Buffer.byteLength(reason) <= REASON_BYTES) return reason;
  let clipped = '';
  for (const character of reason) {
    if (Buffer.byteLength(clipped + character) > REASON_BYTES) break;
    clipped += character;
  }
  return clipped;
}

const MAPPED_DOTTED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
const MAPPED_HEX = /^(?:::|(?:0{1,4}:){5})ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i;

/** An address as people write it: IPv4 stays IPv4 where a dual-stack socket maps it into IPv6. */
export function plainAddress(address: string): string {
  const dotted = MAPPED_DOTTED.exec(address)?.[1];
  if (dotted) return dotted;
  const [, high, low] = MAPPED_HEX.exec(address) ?? [];
  if (!high || !low) return address;
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return `${a >> 8}.${a & 255}.${b >> 8}.${b & 255}`;
}
