import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { notifying, setNotifying } from '../state/attention.ts';
import type { Chat } from '../state/chat.ts';
import { asks, signOut } from '../state/sign-in.ts';
import { Avatar } from './message.tsx';
import { NameField, nameIn } from './name-field.tsx';
import { visible } from './words.ts';

/** Who one is, and how to be someone else; and whether one wants to be told of messages. */
export function Me({ chat }: { chat: Chat }) {
  const changing = useSignal(false);
  const input = useRef<HTMLInputElement>(null);
  const rename = (event: Event) => {
    event.preventDefault();
    const name = nameIn(input.current);
    if (name === undefined) return;
    chat.rename(name);
    changing.value = false;
  };
  return (
    <section class="me" aria-label="You">
      {changing.value ? (
        <form onSubmit={rename}>
          <NameField label="Your name" input={input} value={chat.name.value} focus />
          <div class="choices">
            <button
              type="button"
              onClick={() => {
                changing.value = false;
              }}
            >
              Cancel
            </button>
            <button type="submit" class="primary">
              Change
            </button>
          </div>
        </form>
      ) : (
        <div class="who">
          <Avatar name={visible(chat.name.value)} />
          <bdi>{visible(chat.name.value)}</bdi>
          {asks.value === 'nothing' ? (
            <button
              type="button"
              onClick={() => {
                changing.value = true;
              }}
            >
              Rename
            </button>
          ) : (
            <button type="button" onClick={signOut}>
              Sign out
            </button>
          )}
        </div>
      )}
      {chat.nextName.value !== undefined && (
        <p class="quiet" role="status">
          You are {visible(chat.nextName.value)} as soon as what waits is sent.
        </p>
      )}
      {notifying.value !== undefined && (
        <label class="switch">
          <input
            type="checkbox"
            checked={notifying.value}
            onChange={({ currentTarget }) => setNotifying(currentTarget.checked)}
          />
          Notify me when I look elsewhere
        </label>
      )}
    </section>
  );
}
