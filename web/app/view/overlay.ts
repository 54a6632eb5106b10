import { signal } from '@preact/signals';

/** The dialog that a key opens from anywhere on the page. */
export const overlay = signal<'go-to' | 'shortcuts' | undefined>(undefined);

export const isMac = /Mac|iP(?:hone|ad|od)/.test(navigator.platform);

/** The keys of "Go to", as people read them. */
export const GO_TO_KEYS = isMac ? '⌘K' : 'Ctrl+K';
