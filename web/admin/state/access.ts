import { signal } from '@preact/signals';

const STORED = 'pumphouse.admin.key';

/** The API key, or an empty string. The tab forgets it when it is closed. */
export const key = signal(stored());

/**
 * Why the server needs another key, as a line for the operator; undefined while it accepts the
 * requests.
 */
export const refusal = signal<string | undefined>(undefined);

const MISSING = 'This server asks for an API key with the scope admin.';
const REJECTED = 'The server does not accept this key.';

/**
 * Sends a request to the admin listener, with the key. A rejected key sets `refusal`, which opens
 * the form for another one.
 *
 * @param path relative to the page, without a slash in front.
 */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const sent = key.value;
  const headers = { ...init.headers, ...(sent !== '' && { Authorization: `Bearer ${sent}` }) };
  const response = await fetch(path, { cache: 'no-store', ...init, headers });
  if (response.status !== 401 && response.status !== 403) return response;
  const reason = response.status === 401 ? '' : (await response.clone().text()).trim();
  // Another key has replaced it meanwhile.
  if (sent === key.value) refusal.value = sentence(reason) || (sent === '' ? MISSING : REJECTED);
  return response;
}

function sentence(text: string): string {
  return text === '' ? '' : `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** Uses a key from now on. @returns a line that says why it cannot be one, or undefined. */
export function useKey(entered: string): string | undefined {
  const next = entered.trim();
  if (next === '') return 'Enter a key.';
  if (!/^[\x21-\x7e]+$/.test(next)) return 'A key has only letters, digits and signs, without spaces.';
  store(next);
  refusal.value = undefined;
  key.value = next;
  return undefined;
}

export function forgetKey(): void {
  store('');
  key.value = '';
}

function stored(): string {
  try {
    return sessionStorage.getItem(STORED) ?? '';
  } catch {
    return ''; // the browser stores nothing for this page
  }
}

function store(value: string): void {
  try {
    if (value === '') sessionStorage.removeItem(STORED);
    else sessionStorage.setItem(STORED, value);
  } catch {
    // The page keeps the key until it is closed.
  }
}
