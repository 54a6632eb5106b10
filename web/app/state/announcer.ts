import { signal } from '@preact/signals';
import type { Said } from './timeline.ts';

// A screen reader is told at most this often, and of more messages than these only how many they are.
const EVERY_MS = 1_000;
const READ_OUT = 3;

/** What a screen reader is told: each new message once. What is loaded or shown again is not new. */
export const announced = signal<readonly { readonly id: number; readonly line: string }[]>([]);

let waiting: Said[] = [];
let asked = false;
let told = 0;

export function announce(said: readonly Said[]): void {
  waiting.push(...said);
  if (asked) return;
  asked = true;
  setTimeout(() => {
    asked = false;
    announced.value = linesOf(waiting).map((line) => ({ id: ++told, line }));
    waiting = [];
  }, EVERY_MS);
}

function linesOf(said: readonly Said[]): string[] {
  if (said.length <= READ_OUT) return said.map(({ from, text }) => `${from}: ${text}`);
  return [`${said.length} new messages, the last of ${said.at(-1)?.from}`];
}
