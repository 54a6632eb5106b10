import { signal } from '@preact/signals';

/** The line that screen readers announce next. */
export const announcement = signal('');

const INTERVAL = 5_000; // milliseconds

/** Announces evictions, those of some seconds together. */
export class EvictionAnnouncer {
  #pending = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  add(count: number): void {
    if (count === 0) return;
    this.#pending += count;
    this.#timer ??= setTimeout(() => this.#announce(), INTERVAL);
  }

  #announce(): void {
    this.#timer = undefined;
    announcement.value = this.#pending === 1 ? 'One client was evicted.' : `${this.#pending} clients were evicted.`;
    this.#pending = 0;
  }
}
