import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import type { Chat } from '../state/chat.ts';
import { requiredCredential, signIn } from '../state/sign-in.ts';
import { loadStored } from '../state/storage.ts';
import { NameField, validName } from './name-field.tsx';
import { Wordmark } from './wordmark.tsx';

/** The first page: asks for a name, a name and password, or a token, as the server requires. */
export function Welcome({ chat }: { chat: Chat }) {
  const nameInput = useRef<HTMLInputElement>(null);
  const secretInput = useRef<HTMLInputElement>(null);
  const error = useSignal('');
  const required = requiredCredential.value;
  const submit = async (event: Event) => {
    event.preventDefault();
    if (required === undefined) return;
    const name = required === 'token' ? '' : validName(nameInput.current);
    if (name === undefined) return;
    try {
      chat.connectAs(required === 'nothing' ? name : await signIn(required, name, secretInput.current?.value ?? ''));
    } catch (cause) {
      error.value = (cause as Error).message;
    }
  };
  if (required === undefined) return null;
  const nameLabel = required === 'nothing' ? 'Display name' : 'Username';
  return (
    <main class="welcome">
      <Wordmark />
      <h1>{required === 'nothing' ? 'Join the chat' : 'Sign in'}</h1>
      <form onSubmit={submit}>
        {required !== 'token' && <NameField label={nameLabel} input={nameInput} value={loadStored().name} focus />}
        {required !== 'nothing' && (
          <>
            <label for="secret">{required === 'token' ? 'Access token' : 'Password'}</label>
            <input
              id="secret"
              ref={secretInput}
              type="password"
              name="password"
              autocomplete="current-password"
              required
            />
          </>
        )}
        <p class="error" role="status">
          {error.value || chat.signInError.value}
        </p>
        <button type="submit" class="primary">
          {required === 'nothing' ? 'Start chatting' : 'Sign in'}
        </button>
      </form>
    </main>
  );
}
