import { useSignal, useSignalEffect } from '@preact/signals';
import { request } from './access.ts';

/** The answer to a question about lives. */
export type Loaded<T> =
  | { readonly kind: 'loading' }
  | { readonly kind: 'found'; readonly value: T; readonly at: number }
  /** Nothing is known. `line` says of what. */
  | { readonly kind: 'absent'; readonly line: string }
  | { readonly kind: 'failed'; readonly line: string };

const REFRESH = 5_000; // milliseconds

/** Loads an answer of the server, and again every five seconds while the page is visible. */
export function useLives<T>(path: string): Loaded<T> {
  const loaded = useSignal<Loaded<T>>({ kind: 'loading' });
  useSignalEffect(() => {
    let stopped = false;
    const load = async () => {
      if (document.hidden) return;
      const next = await read<T>(path);
      if (!stopped) loaded.value = next;
    };
    void load();
    const timer = setInterval(() => void load(), REFRESH);
    return () => {
      stopped = true;
      clearInterval(timer);
    };
  });
  return loaded.value;
}

async function read<T>(path: string): Promise<Loaded<T>> {
  try {
    const response = await request(path);
    if (response.ok) return { kind: 'found', value: (await response.json()) as T, at: Date.now() };
    const line = sentence((await response.text()).trim());
    if (response.status === 404) return { kind: 'absent', line };
    return { kind: 'failed', line: line || `The server answers with ${response.status}.` };
  } catch {
    return { kind: 'failed', line: 'The server cannot be reached.' };
  }
}

function sentence(text: string): string {
  return text === '' ? '' : `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
