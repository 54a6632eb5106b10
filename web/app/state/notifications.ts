import { signal } from '@preact/signals';
import { loadStored, updateStored } from './storage.ts';
import type { MessageEntry } from './timeline.ts';

/** Whether notifications are on; undefined in a browser that does not support them. */
export const notificationsEnabled = signal<boolean | undefined>(
  isSupported() ? loadStored().notify && isGranted() : undefined,
);

/** Turns notifications on or off. Turning them on may prompt for permission. */
export async function setNotificationsEnabled(on: boolean): Promise<void> {
  const allowed = on && (isGranted() || (await Notification.requestPermission()) === 'granted');
  notificationsEnabled.value = allowed;
  updateStored(() => ({ notify: allowed }));
}

/** The maximum length of a notification's body, in UTF-16 code units. */
const MAX_BODY = 200;

/** Shows a notification unless the page has focus. Tabs share it, because its tag is the room's. */
export function notify(room: string, message: MessageEntry, open: () => void): void {
  if (!notificationsEnabled.value || document.hasFocus()) return;
  try {
    const body = message.text.slice(0, MAX_BODY);
    const notification = new Notification(`${message.from} in ${room}`, { body, tag: `pumphouse ${room}` });
    notification.onclick = () => {
      window.focus();
      open();
      notification.close();
    };
  } catch {
    notificationsEnabled.value = undefined; // on phones the constructor throws: only a service worker may notify
  }
}

/** Returns the tab's title: the unread count and the current room. */
export function documentTitle(unread: number, room: string | undefined): string {
  return [unread > 0 && `(${unread})`, room, room && '·', 'Pumphouse'].filter(Boolean).join(' ');
}

function isSupported(): boolean {
  return 'Notification' in window;
}

function isGranted(): boolean {
  return Notification.permission === 'granted';
}
