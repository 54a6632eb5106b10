import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import type { Chat } from '../state/chat.ts';
import { mentionsEnabled, notificationsEnabled, setNotifications } from '../state/notifications.ts';
import { requiredCredential, signOut } from '../state/sign-in.ts';
import { visibleName } from './format.ts';

import { NameField, validName } from './name-field.tsx';
import { Avatar } from './person.tsx';

/** The user's name, with rename or sign-out, and the notification setting. */
export function Profile({ chat }: { chat: Chat }) {
  const editing = useSignal(false);
  const input = useRef<HTMLInputElement>(null);
  const rename = (event: Event) => {
    event.preventDefault();
    const name = validName(input.current);
    if (name === undefined) return;
    chat.rename(name);
    editing.value = false;
  };
  return (
    <section class="profile" aria-label="Your profile">
      {editing.value ? (
        <form onSubmit={rename}>
          <NameField label="Display name" input={input} value={chat.name.value} focus />
          <div class="buttons">
            <button
              type="button"
              onClick={() => {
                editing.value = false;
              }}
            >
              Cancel
            </button>
            <button type="submit" class="primary">
              Save
            </button>
          </div>
        </form>
      ) : (
        <div class="profile-name">
          <Avatar name={chat.name.value} />
          <bdi>{visibleName(chat.name.value)}</bdi>
          {requiredCredential.value === 'nothing' ? (
            <button
              type="button"
              class="quiet"
              onClick={() => {
                editing.value = true;
              }}
            >
              Rename
            </button>
          ) : (
            <button type="button" class="quiet" onClick={signOut}>
              Sign out
            </button>
          )}
        </div>
      )}
      {chat.pendingName.value !== undefined && (
        <p class="muted" role="status">
          Your name will change to {visibleName(chat.pendingName.value)} when your unsent messages have been sent.
        </p>
      )}
      {notificationsEnabled.value !== undefined && (
        <>
          <label class="switch">
            <input
              type="checkbox"
              checked={notificationsEnabled.value}
              onChange={({ currentTarget }) => setNotifications('notify', currentTarget.checked)}
            />
            Notify me about new messages
          </label>
          <label class="switch">
            <input
              type="checkbox"
              checked={mentionsEnabled.value}
              onChange={({ currentTarget }) => setNotifications('notifyMentions', currentTarget.checked)}
            />
            Notify me when I am mentioned
          </label>
        </>
      )}
    </section>
  );
}
