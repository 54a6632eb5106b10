// RFC 6455, 5.5: a control frame carries 125 bytes, two of which are the close code.
const MAX_REASON_BYTES = 123;

/** Truncates a close reason to the 123 bytes that fit a close frame, between characters. */
export function truncateReason(reason: string): string {
  if (Buffer.byteLength(reason) <= MAX_REASON_BYTES) return reason;
  let truncated = '';
  for (const character of reason) {
    if (Buffer.byteLength(truncated + character) > MAX_REASON_BYTES) break;
    truncated += character;
  }
  return truncated;
}
