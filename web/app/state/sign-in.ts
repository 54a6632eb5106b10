import { signal } from '@preact/signals';
import { useArchive } from './room-archive.ts';

/** The credential that the server requires, from `sign-in.json`; undefined until it is loaded. */
export const requiredCredential = signal<'nothing' | 'password' | 'token' | undefined>(undefined);

let credential = '';

export async function loadRequiredCredential(): Promise<void> {
  try {
    requiredCredential.value = (await (await fetch('sign-in.json')).json()).asks;
  } catch {
    requiredCredential.value = 'nothing'; // another server hosts the page
  }
}

/** Returns the credential for a new connection, or an empty string to resume the session only. */
export function currentCredential(): string {
  return credential;
}

/**
 * Discards a ticket of `/login` once it is used: it is valid for one connection, and later ones
 * resume the session. A connection that the server rejects before it reads the ticket, as when it
 * has too many, does not use it. A token is reused.
 */
export function discardTicket(): void {
  if (requiredCredential.value === 'password') credential = '';
}

/**
 * Obtains a credential for the next connection.
 *
 * @returns the user's name.
 * @throws Error with a message for the user.
 */
export async function signIn(required: 'password' | 'token', name: string, secret: string): Promise<string> {
  try {
    const { obtain } = await import('./credentials.ts');
    const obtained = await obtain(required, name, secret);
    credential = obtained.credential;
    return obtained.name;
  } catch (error) {
    // A failed request, also that of the import, is a TypeError.
    if (!(error instanceof TypeError)) throw error;
    throw new Error('The server cannot be reached. Check your connection and try again.');
  }
}

/**
 * Returns the text for a connection that the server rejected as not authenticated.
 *
 * @param wasLive whether the server had accepted the connection before.
 */
export function unauthenticatedText(wasLive: boolean): string {
  if (wasLive) return 'Your session has expired. Please sign in again.';
  if (credential === '') return 'Your session has ended. Please sign in again.';
  return requiredCredential.value === 'token'
    ? 'This token is not valid. Check that it is complete and has not expired.'
    : 'This sign-in has expired. Please sign in again.';
}

/** Removes the user's data from this browser and reloads the page. */
export async function signOut(): Promise<void> {
  for (const store of [localStorage, sessionStorage]) {
    for (const key of Object.keys(store)) if (key.startsWith('pumphouse')) store.removeItem(key);
  }
  await useArchive(({ forgetAll }) => forgetAll());
  location.reload();
}
