import { useRef } from 'preact/hooks';
import type { Chat } from '../state/chat.ts';
import { NameField, nameIn } from './name-field.tsx';
import { Wordmark } from './wordmark.tsx';

/** The first visit: all that is needed is a name. */
export function Welcome({ chat }: { chat: Chat }) {
  const input = useRef<HTMLInputElement>(null);
  const enter = (event: Event) => {
    event.preventDefault();
    const name = nameIn(input.current);
    if (name !== undefined) chat.enter(name);
  };
  return (
    <main class="welcome">
      <Wordmark />
      <h1>Pick a name, and you are in</h1>
      <form onSubmit={enter}>
        <NameField label="What should others call you?" input={input} focus />
        <button type="submit" class="primary">
          Start chatting
        </button>
      </form>
    </main>
  );
}
