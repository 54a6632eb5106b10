import { signal } from '@preact/signals';
import type { Conversation } from './conversation.ts';
import { loadStored, onStoredChange, type Stored, updateStored } from './storage.ts';
import type { MessageEntry } from './timeline.ts';

/** Whether notifications are on; undefined in a browser that does not support them. */
export const notificationsEnabled = signal<boolean | undefined>(undefined);

/** Whether mentions notify, also if other messages do not; undefined as above. */
export const mentionsEnabled = signal<boolean | undefined>(undefined);

const isGranted = () => Notification.permission === 'granted';
const load = () => import('./notification.ts');

/** Applies the settings that the browser has stored. */
function apply({ notify, notifyMentions }: Stored): void {
  if (!('Notification' in globalThis)) return;
  notificationsEnabled.value = notify && isGranted();
  mentionsEnabled.value = notifyMentions && isGranted();
  // Loaded before the first message: a server that was upgraded meanwhile has other files.
  if (notificationsEnabled.value || mentionsEnabled.value) load().catch(() => undefined);
}

/** Applies the settings, and those that other tabs make later. */
export function watchNotificationSettings(): void {
  apply(loadStored());
  onStoredChange(apply);
}

/** Turns a kind of notifications on or off. Turning it on may prompt for permission. */
export async function setNotifications(kind: 'notify' | 'notifyMentions', on: boolean): Promise<void> {
  const allowed = on && (isGranted() || (await Notification.requestPermission()) === 'granted');
  updateStored(() => ({ [kind]: allowed }));
  apply(loadStored());
}

/**
 * Shows a notification about a message of a room that is not on the screen.
 *
 * @param mention whether the message names the user.
 *
 * @param hash the URL fragment of the message.
 */
export async function notify(room: Conversation, message: MessageEntry, mention: boolean, hash: string): Promise<void> {
  const enabled = notificationsEnabled.value || (mention && mentionsEnabled.value);
  if (!enabled || document.hasFocus()) return;
  try {
    const { show } = await load();
    if (!(await show(room, message, mention, hash))) notificationsEnabled.value = mentionsEnabled.value = undefined;
  } catch {
    // A page whose files the server no longer has shows no notifications until it is reloaded.
  }
}

/** Returns the tab's title: the unread count and the current room. @param atMost as of the count */
export function documentTitle(unread: number, atMost: boolean, room: string | undefined): string {
  return [unread > 0 && `(${atMost ? '≤' : ''}${unread})`, room, room && '·', 'Pumphouse'].filter(Boolean).join(' ');
}
