import type { Conversation } from './conversation.ts';
import { LOCK_PREFIX } from './own-tabs.ts';
import type { MessageEntry } from './timeline.ts';

/** How long to wait for the service worker of a page that has just been opened, in milliseconds. */
const WORKER_MS = 10_000;

/** The maximum length of a notification's body, in UTF-16 code units. */
const MAX_BODY = 200;

/** The rooms whose notifications this tab shows, with those that the page has opened itself. */
const opened = new Map<Conversation, Set<Notification>>();
/** Ends when the notifications so far are shown: a later one may replace an earlier one. */
let last: Promise<unknown> = Promise.resolve();

/**
 * Shows a notification about a message, unless the reader has the chat in front in any tab, or the
 * room on the screen. One tab of the browser shows those of a room.
 *
 * @param mention whether the message names the user.
 *
 * @param hash the URL fragment that a click opens.
 *
 * @returns whether the browser lets pages show notifications.
 */
export function show(room: Conversation, message: MessageEntry, mention: boolean, hash: string): Promise<boolean> {
  const shown = last.then(
    async () => (await isWatched(room.name)) || !(await claim(room)) || open(room, message, mention, hash),
  );
  last = shown.catch(() => undefined);
  return shown;
}

/** Whether a tab has the focus, or shows the room. */
async function isWatched(room: string): Promise<boolean> {
  const { held = [] } = (await navigator.locks?.query()) ?? {};
  return held.some(({ name = '' }) => {
    if (!name.startsWith(`${LOCK_PREFIX}["screen",`)) return false;
    const [, shown, focused] = JSON.parse(name.slice(LOCK_PREFIX.length)) as unknown[];
    return focused === true || (focused === false && shown === room);
  });
}

/** Makes this tab the one that shows the notifications of a room, unless another one is. */
async function claim(room: Conversation): Promise<boolean> {
  if (opened.has(room)) return true;
  if (!(await takeLock(JSON.stringify(['notifier', room.name, room.user])))) return false;
  opened.set(room, new Set());
  room.readState.unread.subscribe((unread) => {
    if (unread === 0) void closeAll(room);
  });
  return true;
}

/** Takes a lock until the tab closes. @returns false if another tab has it */
function takeLock(key: string): Promise<boolean> {
  return new Promise((resolve) => {
    const hold = (lock: Lock | null) => {
      resolve(lock !== null);
      return lock ? new Promise(() => {}) : undefined;
    };
    if (!navigator.locks) resolve(true);
    void navigator.locks?.request(LOCK_PREFIX + key, { ifAvailable: true }, hold);
  });
}

async function open(room: Conversation, message: MessageEntry, mention: boolean, hash: string): Promise<boolean> {
  const { name } = room;
  const { from, text, epoch, seq } = message;
  const title = `${from} ${mention ? 'mentioned you in' : 'in'} ${name}`;
  // A message replaces the one before, but not a notification about a mention.
  const tag = `pumphouse ${name}${mention ? ` mention ${epoch} ${seq}` : ''}`;
  const options = { body: text.slice(0, MAX_BODY), tag, icon: 'icon-192.png', data: { room: name, hash } };
  const registration = await navigator.serviceWorker?.getRegistration();
  if (registration?.active) {
    await registration.showNotification(title, options);
    return true;
  }
  try {
    const notification = new Notification(title, options);
    opened.get(room)?.add(notification);
    notification.onclick = () => {
      window.focus();
      location.hash = hash;
      notification.close();
    };
  } catch {
    // On phones the constructor throws: only a service worker may notify.
    const ready = await readyWorker();
    await ready?.showNotification(title, options);
    return ready !== undefined;
  }
  return true;
}

function readyWorker(): Promise<ServiceWorkerRegistration | undefined> {
  const patience = new Promise<undefined>((resolve) => setTimeout(resolve, WORKER_MS));
  return Promise.race([navigator.serviceWorker?.ready ?? patience, patience]);
}

/** Closes the notifications of a room, whose messages have been read. */
async function closeAll(room: Conversation): Promise<void> {
  for (const notification of opened.get(room) ?? []) notification.close();
  opened.get(room)?.clear();
  const registration = await navigator.serviceWorker?.getRegistration();
  const shown = (await registration?.getNotifications()) ?? [];
  for (const notification of shown) if (notification.data?.room === room.name) notification.close();
}
