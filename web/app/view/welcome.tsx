import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import type { Chat } from '../state/chat.ts';
import { recall } from '../state/memory.ts';
import { asks, signIn } from '../state/sign-in.ts';
import { NameField, nameIn } from './name-field.tsx';
import { Wordmark } from './wordmark.tsx';

/** The first visit: all that is needed is a name, and what the server asks for beside it. */
export function Welcome({ chat }: { chat: Chat }) {
  const input = useRef<HTMLInputElement>(null);
  const secret = useRef<HTMLInputElement>(null);
  const trouble = useSignal('');
  const asked = asks.value;
  const enter = async (event: Event) => {
    event.preventDefault();
    const name = asked === 'token' ? '' : nameIn(input.current);
    if (name === undefined) return;
    try {
      chat.enter(asked === 'nothing' ? name : await signIn(name, secret.current?.value ?? ''));
    } catch (error) {
      trouble.value = (error as Error).message;
    }
  };
  if (asked === undefined) return null;
  const nameAsked = asked === 'nothing' ? 'What should others call you?' : 'Name';
  return (
    <main class="welcome">
      <Wordmark />
      <h1>{asked === 'nothing' ? 'Pick a name, and you are in' : 'Sign in'}</h1>
      <form onSubmit={enter}>
        {asked !== 'token' && <NameField label={nameAsked} input={input} value={recall().name} focus />}
        {asked !== 'nothing' && (
          <>
            <label for="secret">{asked === 'token' ? 'Your token' : 'Password'}</label>
            <input id="secret" ref={secret} type="password" autocomplete="current-password" required />
          </>
        )}
        <p class="trouble" role="status">
          {trouble.value || chat.unwelcome.value}
        </p>
        <button type="submit" class="primary">
          {asked === 'nothing' ? 'Start chatting' : 'Sign in'}
        </button>
      </form>
    </main>
  );
}
