import { signal } from '@preact/signals';

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
export async function signIn(name: string, secret: string): Promise<string> {
  if (requiredCredential.value === 'token') {
    credential = secret.trim();
    return 'you'; // a placeholder until the server reports the token's user
  }
  const response = await fetch('login', { method: 'POST', body: JSON.stringify({ username: name, password: secret }) });
  if (!response.ok) {
    throw new Error(
      response.status === 401 ? 'Incorrect username or password.' : 'Sign-in is unavailable. Try again later.',
    );
  }
  credential = (await response.json()).otp;
  return name;
}

/** Removes the user's data from this browser and reloads the page. */
export function signOut(): void {
  for (const store of [localStorage, sessionStorage]) {
    for (const key of Object.keys(store)) if (key.startsWith('pumphouse')) store.removeItem(key);
  }
  location.reload();
}
