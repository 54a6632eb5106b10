import { signal } from '@preact/signals';

/** What the server asks of people; undefined until it has said so. */
export const asks = signal<'nothing' | 'password' | 'token' | undefined>(undefined);

let shown = '';

/** Learns how one signs in. */
export async function learnSignIn(): Promise<void> {
  try {
    asks.value = (await (await fetch('sign-in.json')).json()).asks;
  } catch {
    asks.value = 'nothing'; // it is another server's page, then
  }
}

/** What a new connection shows. A ticket is good for one, and the session goes on without; a token for as long as it is in force. */
export function credentials(): string {
  const last = shown;
  if (asks.value === 'password') shown = '';
  return last;
}

/** Gets what is shown. @returns the name one has by it. @throws Error in words for people. */
export async function signIn(name: string, secret: string): Promise<string> {
  if (asks.value === 'token') {
    shown = secret.trim();
    return 'you'; // until the server has said who that is
  }
  const answer = await fetch('login', { method: 'POST', body: JSON.stringify({ username: name, password: secret }) });
  if (!answer.ok) throw new Error(answer.status === 401 ? 'Wrong name or password' : 'Not now: try again in a while');
  shown = (await answer.json()).otp;
  return name;
}

/** Forgets who one is, on this browser. */
export function signOut(): void {
  for (const store of [localStorage, sessionStorage]) {
    for (const key of Object.keys(store)) if (key.startsWith('pumphouse')) store.removeItem(key);
  }
  location.reload();
}
