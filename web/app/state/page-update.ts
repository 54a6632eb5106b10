import { signal } from '@preact/signals';

/** Takes a new version of the page; undefined unless one is ready. */
export const takeUpdate = signal<(() => void) | undefined>(undefined);
