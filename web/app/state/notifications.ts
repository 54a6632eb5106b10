import { signal } from '@preact/signals';
import { loadStored, updateStored } from './storage.ts';
import type { MessageEntry } from './timeline.ts';

/** Whether notifications are on; undefined in a browser that does not support them. */
export const notificationsEnabled = signal<boolean | undefined>(
  isSupported() ? loadStored().notify && isGranted() : undefined,
);

/** Whether mentions notify, also if other messages do not; undefined as above. */
export const mentionsEnabled = signal<boolean | undefined>(
  isSupported() ? loadStored().notifyMentions && isGranted() : undefined,
);

/** Turns notifications on or off. Turning them on may prompt for permission. */
export async function setNotificationsEnabled(on: boolean): Promise<void> {
  const allowed = await isAllowed(on);
  notificationsEnabled.value = allowed;
  updateStored(() => ({ notify: allowed }));
}

/** Turns notifications about mentions on or off. Turning them on may prompt for permission. */
export async function setMentionsEnabled(on: boolean): Promise<void> {
  const allowed = await isAllowed(on);
  mentionsEnabled.value = allowed;
  updateStored(() => ({ notifyMentions: allowed }));
}

async function isAllowed(on: boolean): Promise<boolean> {
  return on && (isGranted() || (await Notification.requestPermission()) === 'granted');
}

/** The maximum length of a notification's body, in UTF-16 code units. */
const MAX_BODY = 200;

/**
 * Shows a notification unless the page has focus. Tabs share it, because its tag is the room's.
 *
 * @param mention whether the message names the user.
 */
export function notify(room: string, message: MessageEntry, mention: boolean, open: () => void): void {
  const enabled = notificationsEnabled.value || (mention && mentionsEnabled.value);
  if (!enabled || document.hasFocus()) return;
  try {
    const body = message.text.slice(0, MAX_BODY);
    const title = `${message.from} ${mention ? 'mentioned you in' : 'in'} ${room}`;
    // A later message does not replace the notification about a mention.
    const tag = `pumphouse ${room}${mention ? ' mention' : ''}`;
    const notification = new Notification(title, { body, tag });
    notification.onclick = () => {
      window.focus();
      open();
      notification.close();
    };
  } catch {
    mentionsEnabled.value = undefined;
    notificationsEnabled.value = undefined; // on phones the constructor throws: only a service worker may notify
  }
}

/** Returns the tab's title: the unread count and the current room. @param atMost as of the count */
export function documentTitle(unread: number, atMost: boolean, room: string | undefined): string {
  return [unread > 0 && `(${atMost ? '≤' : ''}${unread})`, room, room && '·', 'Pumphouse'].filter(Boolean).join(' ');
}

function isSupported(): boolean {
  return 'Notification' in window;
}

function isGranted(): boolean {
  return Notification.permission === 'granted';
}
