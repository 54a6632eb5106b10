import type { Close } from '../protocol/close-codes.ts';

/**
 * A comment, which readers ignore. It starts each stream, so that its headers leave at once, and
 * keeps proxies from closing a silent one.
 */
export const COMMENT: Uint8Array = Buffer.from(':\n\n');

/** The last event of a stream, in place of a close frame. */
export function closeEvent({ code, reason }: Close): Uint8Array {
  return Buffer.from(`event: close\ndata: ${JSON.stringify({ code, reason })}\n\n`);
}
