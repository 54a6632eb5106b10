import { signal } from '@preact/signals';
import type { MessageEntry } from './timeline.ts';

// Bounds how often a screen reader is interrupted.
const INTERVAL_MS = 1_000;
// A larger batch is announced as a count.
const MAX_READ_OUT = 3;

/** Lines for the screen reader: each new message once. Loaded history is not announced. */
export const announcements = signal<readonly { readonly id: number; readonly line: string }[]>([]);

let pending: MessageEntry[] = [];
let scheduled = false;
let lastId = 0;

export function announce(messages: readonly MessageEntry[]): void {
  pending.push(...messages);
  if (scheduled) return;
  scheduled = true;
  setTimeout(() => {
    scheduled = false;
    announcements.value = linesOf(pending).map((line) => ({ id: ++lastId, line }));
    pending = [];
  }, INTERVAL_MS);
}

/** Announces a line at once. */
export function announceLine(line: string): void {
  announcements.value = [{ id: ++lastId, line }];
}

function linesOf(messages: readonly MessageEntry[]): string[] {
  if (messages.length <= MAX_READ_OUT) return messages.map(({ from, text }) => `${from}: ${text}`);
  return [`${messages.length} new messages, latest from ${messages.at(-1)?.from}`];
}
