import { signal } from '@preact/signals';
import { recall, remember } from './memory.ts';
import type { Said } from './timeline.ts';

/** Whether notifications were asked for; undefined where the browser has none. */
export const notifying = signal<boolean | undefined>(canNotify() ? recall().notify && granted() : undefined);

/** Turns notifications on, for which the browser may ask, or off. */
export async function setNotifying(on: boolean): Promise<void> {
  const allowed = on && (granted() || (await Notification.requestPermission()) === 'granted');
  notifying.value = allowed;
  remember(() => ({ notify: allowed }));
}

// More of a message is not told.
const LONGEST = 200;

/** Tells someone who looks elsewhere of the last message of a room. Several tabs tell of it once. */
export function notify(room: string, said: Said, open: () => void): void {
  if (!notifying.value || document.hasFocus()) return;
  try {
    const body = said.text.slice(0, LONGEST);
    const notification = new Notification(`${said.from} in ${room}`, { body, tag: `pumphouse ${room}` });
    notification.onclick = () => {
      window.focus();
      open();
      notification.close();
    };
  } catch {
    notifying.value = undefined; // phones have none for a page alone
  }
}

/** The tab's title: how much is unread, and which room it shows. */
export function titleOf(unread: number, room: string | undefined): string {
  return [unread > 0 && `(${unread})`, room, room && '·', 'Pumphouse'].filter(Boolean).join(' ');
}

function canNotify(): boolean {
  return 'Notification' in window;
}

function granted(): boolean {
  return Notification.permission === 'granted';
}
